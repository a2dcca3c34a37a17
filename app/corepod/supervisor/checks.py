"""The regular look at the workers: are their loops turning, are they busy or stuck, what do they cost."""

from __future__ import annotations

import signal

from corepod.contract.scoreboard import TICK
from corepod.supervisor.proc import cpu_time, thread_time, writes_to_full_pipe
from corepod.supervisor.process import Stage
from corepod.supervisor.watch import LATE, Step, interval

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Process

ANSWER_AGE = 0.5  # seconds an answer about a worker may be old
SAMPLE = 1.0  # least seconds over which a share of CPU is measured


class Checks:
    """Looks rarely while all is well; each look costs CPU on the workers' own cores."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._looked = self._at = pool.loop.now()
        self._throttled = pool.cgroup.throttled() or 0.0

    def deadline(self) -> float | None:
        return self._at if self._serving() else None

    def look(self, now: float, asked: bool = False) -> None:
        """Judge every worker by both clocks, if it is time, or if somebody asked and the last look is some time ago:
        a probe must not be told what was true seconds before."""
        if now < self._at and not (asked and now - self._looked >= ANSWER_AGE):
            return
        late = now - self._at > LATE
        throttled = self._pool.cgroup.throttled() or 0.0
        lost, self._throttled = throttled - self._throttled, throttled
        suspect = False
        for process in self._serving():
            tick = self._pool.board.word(process.record, TICK) / 1e9
            process.watch.observe(now, tick=tick, cpu=thread_time(process.pid), late=late, throttled=lost)
            self._act(process)
            process.cpu_seen = cpu_time(process.pid) or process.cpu_seen
            suspect = suspect or process.watch.blocked > 0
        self._looked, self._at = now, now + interval(self._pool.settings, suspect)

    def busy(self, process: Process, now: float) -> float:
        """Share of one core the worker used lately, from 0 to 1 (more where threads run on other cores)."""
        slot = process.slot
        used = cpu_time(process.pid)
        if slot is None or used is None:
            return 0.0
        process.cpu_seen = used
        sample = slot.cpu_sample or (now - SAMPLE, used, 0.0)
        if now - sample[0] < SAMPLE:
            return sample[2]
        share = max(0.0, used - sample[1]) / (now - sample[0])
        slot.cpu_sample = (now, used, min(share, 1.0))
        return min(share, 1.0)

    def _serving(self) -> list[Process]:
        workers = (slot.worker for slot in self._pool.slots)
        return [w for w in workers if w is not None and w.stage is Stage.SERVING]

    def _act(self, process: Process) -> None:
        watch, step = process.watch, process.watch.step(self._pool.settings)
        if step is Step.NONE:
            return
        if watch.stuck and self._waits_for_reader(process):
            # The next worker would stand in the same place: only whoever reads the log can help.
            if not watch.why:
                self._pool.log.error("stuck writing its output: nobody reads the log's pipe", **process.who)
            watch.why = "its output isn't read"
            return
        found = (
            f"stuck: its loop has been blocked without using CPU for {watch.stuck:.0f} s"
            if watch.stuck
            else f"busy: its loop has been blocked by computing for {watch.blocked:.0f} s"
        )
        if step is Step.DUMP:
            watch.dumped = watch.state()
            self._pool.log.error(found, **process.who)
            process.signal(signal.SIGQUIT)
        else:
            process.end(found)

    def _waits_for_reader(self, process: Process) -> bool:
        # In a pod the log's pipe is shared, so that our own end shows whether it is full. What a local pool's workers
        # write is always read here; one that sleeps in a write does so on a pipe of its own.
        log = self._pool.log
        shared = self._pool.settings.profile == "pod" and (log.out.full or log.err.full)
        return shared and writes_to_full_pipe(process.pid)
