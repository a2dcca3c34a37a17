"""Busy or stuck: the loop's tick and the CPU time of the loop's thread, judged together; and the threads beside it."""

from __future__ import annotations

from enum import Enum

from corepod.contract.scoreboard import TICK_INTERVAL

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

FRESH = 3 * TICK_INTERVAL  # a tick no older than this shows a loop that turns
IDLE = 0.01  # less than this share of a core is no work: waking up to look at a lock costs as much
LATE = 1.0  # seconds by which a check may be late before it proves nothing
WRITING = 2.0  # seconds in which a worker writes the stacks that it was asked for, and perhaps waits for a core first


class Step(Enum):
    """What to do about a worker now."""

    NONE = "none"
    DUMP = "dump its stacks"
    END = "end it"


class Watchdog:
    """What successive checks have found about one worker. Times are seconds of CLOCK_MONOTONIC."""

    __slots__ = (
        "_patience",
        "_since",
        "_writes_until",
        "blocked",
        "checked",
        "cpu",
        "dumped",
        "stalled",
        "stuck",
        "why",
    )

    def __init__(self, now: float, stalled_after: float = 0.0) -> None:
        """`stalled_after` is the setting."""
        self.checked = now
        self._patience, self._since = stalled_after, 0.0
        self.cpu: float | None = None
        self.blocked = 0.0  # how long the loop has been blocked
        self.stuck = 0.0  # how long of that, up to now, without using CPU
        self.stalled = 0.0  # how long, while the loop runs, all threads that serve requests have stalled
        self.dumped = ""  # the state for which its stacks were logged
        self._writes_until = 0.0
        self.why = ""  # what else is known of the cause

    def observe(
        self, now: float, *, tick: float, cpu: float | None, late: bool, throttled: float, stalled_since: float = 0.0
    ) -> None:
        """Take in one check: the loop's last tick, CPU (and run-queue) seconds of its thread, whether this check itself
        was late, for how many seconds since the last one the container was throttled, and since when the threads that
        serve requests have stalled (0 where they haven't).

        A check that was late, or a container that was not allowed to run, accuses nobody: that time doesn't count.
        """
        passed = 0.0 if late else max(0.0, now - self.checked - throttled)
        used = cpu - self.cpu if cpu is not None and self.cpu is not None else None
        self.checked, self.cpu = now, cpu
        if now - tick <= FRESH:
            self.blocked = self.stuck = 0.0
            self._observe_threads(now, passed, stalled_since)
            if not self.threads_stuck:
                self.dumped = self.why = ""
            return
        passed = min(passed, now - tick)
        self.blocked += passed
        if passed and used is not None:
            if used < IDLE * passed:
                self.stuck += passed
            elif now >= self._writes_until:  # else it may be no work of its own, and proves nothing
                self.stuck = 0.0

    def writes_stacks(self) -> None:
        """Its stacks have been asked for, because of its state: that wakes even a thread that is stuck."""
        self.dumped, self._writes_until = self.state(), self.checked + WRITING

    def _observe_threads(self, now: float, passed: float, since: float) -> None:
        if since != self._since:
            self._since, self.stalled = since, 0.0
        if since:
            self.stalled += min(passed, max(0.0, now - since))

    @property
    def threads_stuck(self) -> bool:
        """Whether the loop runs, but all threads that serve requests have stalled for too long."""
        return not self.blocked and bool(self._patience) and self.stalled >= self._patience

    @property
    def suspect(self) -> bool:
        """Whether it deserves a closer look."""
        return self.blocked > 0 or self.stalled > 0

    @property
    def lasting(self) -> float:
        """Seconds for which the state has lasted, where it isn't `ready`."""
        return self.stalled if self.threads_stuck else self.blocked

    def state(self) -> str:
        """`ready`, `busy` or `stuck`."""
        if not self.blocked:
            return "stuck" if self.threads_stuck else "ready"
        return "stuck" if self.stuck else "busy"

    def step(self, settings: Settings) -> Step:
        """What the limits ask for. With `debug` nothing: a debugger may sit in the worker.

        None is ended whose stacks haven't been logged before: nobody could say any more what it was doing.
        """
        if settings.debug or self.state() == "ready":
            return Step.NONE
        if self.state() == "stuck":
            passed, look, limit = self.stuck or self.stalled, settings.stuck_dump, settings.stuck_timeout
            if limit and self.threads_stuck:
                limit += settings.wsgi_timeout  # until then they may take their time, and then make way without a death
        else:
            passed, look, limit = self.blocked, settings.busy_after, settings.busy_timeout
        if self.dumped == self.state():
            return Step.END if limit and passed >= limit else Step.NONE
        return Step.DUMP if passed >= (min(look, limit / 2) if limit else look) else Step.NONE

    def accepts(self, settings: Settings) -> bool:
        """Whether a new request has a fair chance: not stuck, not computing for too long."""
        return self.state() != "stuck" and self.blocked < settings.busy_after


def interval(settings: Settings, suspect: bool) -> float:
    """Seconds to the next check: rarely while all is well (each look costs CPU on the worker's own core), more often
    while a loop is blocked, and often enough for the least of the limits."""
    limits = (settings.stuck_dump, settings.stuck_timeout, settings.busy_after, settings.busy_timeout)
    least = min(limit for limit in limits if limit)
    return max(0.1, min(1.0, least / 10) if suspect else min(5.0, least / 2))
