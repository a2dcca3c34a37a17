"""Starts that take long: what they wait for is said in the log and in /readyz, however they hang."""

from __future__ import annotations

import signal

from corepod.supervisor.health.procfs import catches
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Process, Slot

FIRST = 10.0  # seconds after which a start counts as slow
TIMES = 3.0  # the next line comes after so many times as long
SHOWN = 1.0  # seconds after which /readyz says what a start waits for
WHAT = {
    Stage.LOADING: "the application's import",
    Stage.IMPORTING: "the application's import",
    Stage.ARMING: "the server's warm-up or, in a live standby, the application's lifespan startup",
    Stage.STARTING: "the application's lifespan startup",
}


class SlowStarts:
    """One line for all processes in the same stage, about the one that has been in it for longest."""

    def __init__(self, pool: Pool, log: StreamLog) -> None:
        self._pool, self._log = pool, log
        self._told: dict[Stage, tuple[Process, int]] = {}  # lines about this process so far
        self._next: tuple[float, Process | None] = (0.0, None)  # until when it is kept, and the next worker to come

    def deadline(self) -> float | None:
        return min((self._due(first) for first, _ in self._starting()), default=None)

    def look(self, now: float) -> None:
        """Say what is due; the first line comes with the process's stacks."""
        for first, count in self._starting():
            if now < self._due(first):
                continue
            others = f" (and {count - 1} more)" if count > 1 else ""
            self._log.warning(f"a start takes long: {_phrase(first, now)}{others}", **first.who)
            told = self._lines(first)
            self._told[first.stage] = (first, told + 1)
            # Not before it has a handler: the signal would end it.
            if not told and catches(first.pid, signal.SIGQUIT):
                self._pool.processes.dump_stacks(first)

    def why(self, slot: Slot, now: float) -> str:
        """What this slot waits for, empty where that has only begun."""
        first = slot.worker if slot.worker is not None else self._next_worker(now)
        starts = first is not None and first.stage in WHAT and now - first.since >= SHOWN
        return _phrase(first, now) if first is not None and starts else ""

    def _next_worker(self, now: float) -> Process | None:
        # Kept for a moment: hundreds of slots may ask at once.
        if now >= self._next[0]:
            coming = [first for first, _ in self._starting() if first.stage is not Stage.STARTING]
            self._next = (now + SHOWN, min(coming, key=lambda process: process.since, default=None))
        return self._next[1]

    def _starting(self) -> Iterator[tuple[Process, int]]:
        """The first one of each stage, and how many there are."""
        if self._pool.settings.debug or self._pool.stopping:
            return
        stages: dict[Stage, list[Process]] = {}
        for process in self._pool.processes.living.values():
            if process.stage in WHAT and not process.cause:
                stages.setdefault(process.stage, []).append(process)
        for processes in stages.values():
            yield min(processes, key=lambda process: process.since), len(processes)

    def _lines(self, process: Process) -> int:
        about, lines = self._told.get(process.stage, (None, 0))
        return lines if about is process else 0

    def _due(self, process: Process) -> float:
        return float(process.since + FIRST * TIMES ** self._lines(process))


def _phrase(process: Process, now: float) -> str:
    return f"{WHAT[process.stage]} has taken {now - process.since:.0f} s"
