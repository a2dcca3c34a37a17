"""A slot: a worker's place. It keeps what outlives the workers in it."""

from __future__ import annotations

from collections import deque

from corepod.contract.scoreboard import WORDS
from corepod.supervisor.policy import Row

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.process import Process


class Slot:
    """Number, core, the worker in it, and the totals of those before."""

    def __init__(self, number: int, core: int | None) -> None:
        self.number = number
        self.core = core
        self.unpinned = ""  # why its workers can't be pinned to it
        self.worker: Process | None = None
        self.incoming: Process | None = None  # takes over in a reload
        self.retiring: list[Process] = []
        self.waiting = False  # asks a crew for a worker
        self.failed = ""  # why it was given up
        self.restarts = 0
        self.reasons: dict[str, int] = {}
        self.deaths: deque[float] = deque()
        self.row = Row()  # deaths without a stable time between them
        self.boot_failures = 0
        self.retry_at: float | None = None  # it asks for a worker then
        self.last_exit: str | None = None
        self.totals = [0] * WORDS
        self.lost = 0  # requests that were in flight on workers that died
        self.cpu_before = 0.0  # CPU seconds of dead workers
        self.cpu_sample: tuple[float, float, float] | None = None  # time, CPU seconds, busy share before

    @property
    def processes(self) -> list[Process]:
        return [p for p in (self.worker, self.incoming, *self.retiring) if p is not None]

    @property
    def idle(self) -> bool:
        """No worker, and none on its way."""
        coming = self.worker or self.incoming or self.waiting or self.retry_at is not None
        return not coming and not self.failed

    def remember(self, death: float, window: float) -> None:
        """Count a death, and forget those that are `window` seconds older."""
        self.deaths.append(death)
        while death - self.deaths[0] >= window:
            self.deaths.popleft()

    def forgive(self) -> None:
        """Forget the deaths that count against it, and that it was given up."""
        self.failed, self.boot_failures = "", 0
        self.deaths.clear()
        self.row.clear()

    def state(self, *, draining: bool) -> str:
        """One of design.md's slot states."""
        worker = self.worker
        if self.failed:
            return "failed"
        if worker is None:
            return "backoff" if self.retry_at is not None else "draining" if draining else "starting"
        if worker.ready_at is None:
            return "starting"
        return "draining" if draining or worker.stage.value == "draining" else worker.watch.state()
