"""The regular look at the workers: are their loops turning, are they busy or stuck, what do they cost."""

from __future__ import annotations

from corepod.contract.scoreboard import STALLED, TICK
from corepod.supervisor.health.procfs import cpu_time, thread_time, writes_to_full_pipe
from corepod.supervisor.health.starts import SlowStarts
from corepod.supervisor.health.watchdog import LATE, Step, Watchdog, interval
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.health.procfs import Cgroup
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Process, Slot

ANSWER_AGE = 0.5  # seconds an answer about a worker may be old
TOGETHER = 32  # workers that are looked at before others of the supervisor's duties have their turn
SAMPLE = 1.0  # least seconds over which a share of CPU is measured


class Checks:
    """Looks rarely while all is well; each look costs CPU on the workers' own cores. Owns a watchdog a worker."""

    def __init__(self, pool: Pool, scoreboard: SharedScoreboard, cgroup: Cgroup, log: StreamLog, now: float) -> None:
        self._pool, self._settings = pool, pool.settings
        self._scoreboard, self._cgroup, self._log = scoreboard, cgroup, log
        self.starts = SlowStarts(pool, log)
        self._looked = self._at = now
        self._throttled = cgroup.throttled() or 0.0
        self._late, self._lost, self._suspect = False, 0.0, False  # of the present round
        self._left: list[Process] = []  # that haven't been looked at in it
        self._watchdogs: dict[Process, Watchdog] = {}
        self._samples: dict[Process, tuple[float, float, float]] = {}  # time, CPU seconds, busy share before

    def deadline(self) -> float | None:
        times = [self._at if self._serving() else None, self.starts.deadline()]
        return min((t for t in times if t is not None), default=None)

    def look(self, now: float, asked: bool = False) -> None:
        """Judge the workers by both clocks, if it is time, or if somebody asked and the last look is some time ago: a
        probe must not be told what was true seconds before. A large pool is looked at in several calls; for a probe
        until a worker is found that accepts."""
        self.starts.look(now)
        if not self._left:
            if now < self._at and not (asked and now - self._looked >= ANSWER_AGE):
                return
            self._begin(now)
        found = False
        while self._left and not found:
            some, self._left = self._left[:TOGETHER], self._left[TOGETHER:]
            # Those that have died meanwhile have a pid that may be another process's by now.
            judged = [self._judge(p, now) for p in some if self._still_serves(p)]
            found = not asked or any(judged)
        if self._left:
            self._at = now
            return
        self._forget_the_dead()
        self._looked, self._at = now, now + interval(self._settings, self._suspect)

    def _begin(self, now: float) -> None:
        throttled = self._cgroup.throttled() or 0.0
        self._late, self._suspect = now - self._at > LATE, False
        self._lost, self._throttled = throttled - self._throttled, throttled
        self._left = self._serving()

    def _still_serves(self, process: Process) -> bool:
        return process.stage is Stage.SERVING and self._pool.processes.living.get(process.pid) is process

    def _judge(self, process: Process, now: float) -> bool:
        """Look at one worker. Returns whether it accepts requests."""
        watchdog = self.watchdog(process)
        tick = self._scoreboard.word(process.record, TICK) / 1e9
        stalled = self._scoreboard.word(process.record, STALLED) / 1e9
        cpu, lost = thread_time(process.pid), self._lost
        watchdog.observe(now, tick=tick, cpu=cpu, late=self._late, throttled=lost, stalled_since=stalled)
        self._act(process, watchdog)
        process.used_cpu(cpu_time(process.pid) or process.cpu_seen)
        self._suspect = self._suspect or watchdog.suspect
        return watchdog.accepts(self._settings)

    def watchdog(self, process: Process) -> Watchdog:
        """What the looks have found about a worker. Its time counts from when it was ready."""
        found = self._watchdogs.get(process)
        if found is None:
            found = self._watchdogs[process] = Watchdog(process.since, self._settings.stalled_after)
        return found

    def state(self, slot: Slot, *, draining: bool) -> str:
        """The slot's state: starting, ready, busy, stuck, draining, backoff or failed."""
        worker = slot.worker
        if slot.failed:
            return "failed"
        if worker is None:
            return "backoff" if slot.retry_at is not None else "draining" if draining else "starting"
        if worker.ready_at is None:
            return "starting"
        return "draining" if draining or worker.stage is Stage.DRAINING else self.watchdog(worker).state()

    def busy(self, process: Process, now: float) -> float:
        """Share of one core the worker used lately, from 0 to 1 (more where threads run on other cores)."""
        used = cpu_time(process.pid)
        if used is None:
            return 0.0
        process.used_cpu(used)
        since, before, share = self._samples.get(process) or (now - SAMPLE, used, 0.0)
        if now - since < SAMPLE:
            return share
        share = min(max(0.0, used - before) / (now - since), 1.0)
        self._samples[process] = (now, used, share)
        return share

    def _serving(self) -> list[Process]:
        workers = (slot.worker for slot in self._pool.slots)
        return [w for w in workers if w is not None and w.stage is Stage.SERVING]

    def _forget_the_dead(self) -> None:
        living = set(self._pool.processes.living.values())
        for process in [p for p in {*self._watchdogs, *self._samples} if p not in living]:
            self._watchdogs.pop(process, None)
            self._samples.pop(process, None)

    def _act(self, process: Process, watchdog: Watchdog) -> None:
        step = watchdog.step(self._settings)
        if step is Step.NONE:
            return
        if watchdog.state() == "stuck" and self._waits_for_reader(process, watchdog):
            # The next worker would stand in the same place: only whoever reads the log can help.
            if not watchdog.why:
                why = "stuck writing its output: the log's pipe is full and is not being read"
                self._log.error(why, event="stuck", **process.who)
            watchdog.why = "its output is not being read"
            return
        found = _describe(watchdog)
        if step is Step.DUMP:
            watchdog.writes_stacks()
            self._log.error(found, event="stuck", **process.who)
            self._pool.processes.dump_stacks(process)
        else:
            self._pool.processes.kill(process, found)

    def _waits_for_reader(self, process: Process, watchdog: Watchdog) -> bool:
        # In a pod the log's pipe is shared, so that our own end shows whether it is full. What a local pool's workers
        # write is always read here; one that sleeps in a write does so on a pipe of its own.
        log = self._log
        shared = self._settings.profile == "pod" and (log.out.full or log.err.full)
        return shared and writes_to_full_pipe(process.pid, any_thread=watchdog.threads_stuck)


def _describe(watchdog: Watchdog) -> str:
    if watchdog.threads_stuck:
        return f"stuck: all its threads have stalled for {watchdog.stalled:.0f} s while requests wait for one"
    if watchdog.stuck:
        return f"stuck: its loop has been blocked without using CPU for {watchdog.stuck:.0f} s"
    return f"busy: its loop has been blocked by computing for {watchdog.blocked:.0f} s"
