"""Workers in which a request has held its thread for too long (wsgi_timeout) make way for new ones. Other pools don't
load this."""

from __future__ import annotations

from corepod.contract.scoreboard import HELD
from corepod.supervisor.pool.recycle import may_try
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Process, Slot

TIMEOUT = "timeout"  # to count them by
LOOK = 0.5  # seconds between two looks: a worker says as often how long it has been
PATIENCE = 10.0  # seconds for which a new worker has the others wait for their turn


class Overtime:
    """Each of them is explained once, and replaced in its turn."""

    def __init__(self, pool: Pool, scoreboard: SharedScoreboard, log: StreamLog, now: float) -> None:
        self._pool, self._scoreboard, self._log = pool, scoreboard, log
        self._limit = pool.settings.wsgi_timeout
        self._explained: set[Process] = set()
        self._at, self._began = now, now - PATIENCE

    def deadline(self) -> float | None:
        return None if self._pool.stopping else self._at

    def look(self, now: float) -> None:
        """Look at the workers, if it is time."""
        if self._pool.stopping or now < self._at:
            return
        self._at = now + LOOK
        late = [slot for slot in self._pool.slots if self._held(slot) >= self._limit]
        self._explain([slot.worker for slot in late if slot.worker is not None])
        if now - self._began < PATIENCE and any(map(_changes, self._pool.slots)):
            return
        for slot in late:
            due = may_try(slot.replace_failures, now - slot.replace_failed_at)
            if due and not self._pool.restart(slot, self._why(slot), now, TIMEOUT):
                self._began = now
                return

    def _held(self, slot: Slot) -> float:
        """Seconds for which a request has held a thread of its worker, 0 where it is about to go."""
        worker = slot.worker
        if worker is None or worker.stage is not Stage.SERVING or worker.cause:
            return 0.0
        return self._scoreboard.word(worker.record, HELD) / 1e9

    def _why(self, slot: Slot) -> str:
        return f"a request has held its thread for {self._held(slot):.0f} s, and wsgi_timeout is {self._limit:g} s"

    def _explain(self, workers: list[Process]) -> None:
        self._explained &= set(workers)
        for worker in workers:
            if worker not in self._explained:
                self._explained.add(worker)
                self._pool.processes.dump_stacks(worker)


def _changes(slot: Slot) -> bool:
    """Whether it is getting a new worker, or its present one isn't there yet."""
    return slot.changing or (slot.worker is None and not slot.failed)
