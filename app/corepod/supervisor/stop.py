"""The order of a stop: lame duck, drain, at once. A pure decision."""

from __future__ import annotations

from enum import Enum

LEAST_DRAIN = 0.1  # seconds a worker gets to stop, however little is left of the budget
# timeout(1) and service managers signal a process and then its group: what comes this soon is the same signal.
ECHO = 0.25  # seconds
# What has been sent SIGKILL is gone in milliseconds, unless the kernel holds it (a dead network file system) or it may
# not be killed (a program of another user): waiting longer changes nothing then.
UNKILLABLE = 2.0  # seconds


class Asked(Enum):
    """What a request to stop means."""

    BEGIN = "begin"
    AT_ONCE = "at once"  # it isn't the first one
    ECHO = "echo"  # the same one, heard twice


class Stop:
    """`lame_until` is when the lame duck ends, None before and after it. Times are seconds of CLOCK_MONOTONIC."""

    def __init__(self, *, timeout: float, lame_duck: float) -> None:
        """`timeout` bounds the whole stop, the `lame_duck` included."""
        self._timeout, self._lame_duck = timeout, lame_duck
        self._last: tuple[str, float] | None = None  # request: from where and when
        self.deadline = 0.0  # of the stop that was asked for
        self.lame_until: float | None = None
        self.leave_by: float | None = None  # the supervisor leaves then, whoever is left

    def ask(self, source: str, now: float, *, stopping: bool, serves: bool) -> Asked:
        """A request has come from `source`, such as a signal's name. `serves`: the pool has had traffic."""
        if self._last is not None and self._last[0] == source and now - self._last[1] < ECHO:
            return Asked.ECHO
        self._last = source, now
        if stopping:
            self.at_once(now)
            return Asked.AT_ONCE
        self.deadline = now + self._timeout
        # A pool that was never ready has received no traffic: no load balancer has to learn that it goes.
        self.lame_until = now + (self._lame_duck if serves else 0.0)
        self.leave_by = max(self.deadline, self.lame_until + LEAST_DRAIN) + UNKILLABLE
        return Asked.BEGIN

    def at_once(self, now: float) -> None:
        """Every process has been killed."""
        self.leave_by = min(self.leave_by or now + UNKILLABLE, now + UNKILLABLE)

    def overdue(self, now: float) -> bool:
        """Whether the stop has taken all the time that it may."""
        return self.leave_by is not None and now >= self.leave_by

    def drain_within(self, now: float) -> float | None:
        """Once, when the lame duck is over: how long the drain may take."""
        if self.lame_until is None or now < self.lame_until:
            return None
        self.lame_until = None
        return max(LEAST_DRAIN, self.deadline - now)
