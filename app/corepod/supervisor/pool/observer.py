"""Who is told of what hooks are run for."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool.exits import ExitReport
    from corepod.supervisor.pool.state import Process, Slot


class Observer:
    """This one does nothing: most pools have no hooks."""

    def first_ready(self, worker: Process) -> None:
        """The pool has its first worker that is ready."""

    def exited(self, worker: Process, report: ExitReport, *, planned: bool) -> None:
        """A worker has ended; `planned`: it was asked to. Its death isn't counted yet."""

    def reloaded(self, failure: str, seconds: float) -> None:
        """A reload is over; `failure` is empty where it is done."""

    def gave_up(self, slot: Slot | None, why: str, code: int | None) -> None:
        """A slot, or the pool, which ends with this exit code, has been given up."""
