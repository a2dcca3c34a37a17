"""When a worker may take the next connection from the queue that it shares: decisions, without a clock or a socket."""

from __future__ import annotations

import time

HOLD = 0.002  # seconds the gate stays closed at the most
SHORT = 0.0005  # seconds in which a worker serves a request that counts as short
SEVERAL = 4  # connections taken at once at the most
STEP_BACK = 0.020  # seconds a connection is left to another worker at the most
LOOK = 0.001  # seconds between two looks at a connection that is left to another worker
DISTRUST = 0.500  # seconds for which nothing is left to others after one of them has left a connection waiting
WINDOW = 0.010  # least seconds over which the threads' share is measured
COMPUTING = 0.1  # share of a core from which on threads count as computing

Sibling = tuple[int, int]  # an idle worker: its record, and how many connections it has accepted


class Gate:
    """Closed from an accepted connection until its request has reached the application, so that a handler that blocks
    holds no second connection which another worker could serve."""

    def __init__(self) -> None:
        self._expected = 0  # connections that have been accepted, and whose requests haven't arrived
        self._until = 0.0
        self._hold = HOLD
        self._taken_at = 0.0
        self._taken = self._most = 1

    def most(self, now: float) -> int:
        """How many connections to take, the gate being open.

        One by one, the turns of the loop cost more than serving a short request. Where those that were taken last have
        been served in no time, and more are waiting already, a few are taken at once.
        """
        short = now - self._taken_at < SHORT * self._taken
        self._most = min(2 * self._most, SEVERAL) if short else 1
        self._taken_at, self._taken = now, 0
        return self._most

    def close(self, now: float) -> None:
        """A connection has been accepted."""
        self._taken += 1
        self._expected += 1
        self._until = now + self._hold

    def open(self, *, brought: bool) -> None:
        """A connection has brought a request, or isn't worth waiting for."""
        if self._expected:
            self._expected -= 1
        if brought:
            self._hold = HOLD

    def forget(self) -> None:
        """Wait for no request of what has been accepted so far."""
        self._expected = 0

    def left(self, now: float) -> float:
        """Seconds for which it stays closed, 0 where it is open."""
        if not self._expected:
            return 0.0
        if now < self._until:
            return self._until - now
        # The next one is waited for half as long: a thousand silent connections in a row cost two of these times.
        self._expected, self._hold = 0, self._hold / 2
        return 0.0

    @property
    def is_open(self) -> bool:
        """Whether every connection that was accepted has brought its request."""
        return not self._expected


class Courtesy:
    """Whether a worker whose threads compute leaves a connection to one that is idle."""

    def __init__(self) -> None:
        self._sibling: Sibling | None = None
        self._since = self._asked = 0.0
        self._trusts_from = 0.0

    def steps_back(self, sibling: Sibling | None, now: float) -> bool:
        """A connection waits; `sibling` is idle, None where nobody is.

        An idle worker takes a connection in a fraction of a millisecond. One that doesn't, because it is blocked,
        stopped or dying, is left nothing for a while: what the scoreboard shows of it can't say so.
        """
        if sibling is None or now < self._trusts_from:
            self._sibling = None
            return False
        if sibling != self._sibling or now - self._asked > STEP_BACK:
            self._sibling, self._since = sibling, now
        self._asked = now
        if now - self._since < STEP_BACK:
            return True
        self._sibling, self._trusts_from = None, now + DISTRUST
        return False


class ThreadShare:
    """The share of a core that the process's other threads use: they compete with what the loop accepts."""

    def __init__(self) -> None:
        self._at, self._used, self._value = time.monotonic(), self._threads(), 0.0

    def now(self) -> float:
        at = time.monotonic()
        if at - self._at >= WINDOW:
            used = self._threads()
            self._value = min(1.0, (used - self._used) / (at - self._at))
            self._at, self._used = at, used
        return self._value

    @staticmethod
    def _threads() -> float:
        return time.process_time() - time.thread_time()
