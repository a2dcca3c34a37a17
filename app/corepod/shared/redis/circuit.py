"""When an operation is tried, and when it fails at once because others have just failed."""

from __future__ import annotations

from enum import Enum

FIRST, MOST = 0.1, 2.0  # seconds of a pause: after the first failure, and at the most
SPREAD = 0.5  # the share of a pause that jitter takes away at the most: workers mustn't try in step


class Pass(Enum):
    """Whether an operation may go out."""

    FREE = "nothing is known to be wrong"
    PROBE = "the one that tries whether the server is back"
    REFUSED = "it wouldn't succeed"


class Circuit:
    """Closed as long as operations succeed. A failure opens it: operations are refused for a pause that grows from
    failure to failure, and then one at a time is the probe. It has no clock: `now` is in seconds."""

    def __init__(self) -> None:
        self._pause = 0.0  # that of the last failure, 0 where it is closed
        self._until = 0.0
        self._probing = False

    @property
    def open(self) -> bool:
        return self._pause > 0

    def enter(self, now: float) -> Pass:
        """One operation wants to go out. Who gets PROBE calls `succeeded`, `failed` or `abandoned`."""
        if not self.open:
            return Pass.FREE
        if self._probing or now < self._until:
            return Pass.REFUSED
        self._probing = True
        return Pass.PROBE

    def succeeded(self) -> None:
        """The server has answered, no matter whom."""
        self._pause, self._probing = 0.0, False

    def failed(self, now: float, passed: Pass, jitter: float) -> None:
        """The server hasn't answered. `jitter` is a random number from 0 to 1.

        Of many that went out before the first failure, that one counts: the others know nothing newer.
        """
        if self.open and passed is not Pass.PROBE:
            return
        self._pause = min(MOST, self._pause * 2) if self.open else FIRST
        self._until = now + self._pause * (1 - SPREAD * jitter)
        if passed is Pass.PROBE:
            self._probing = False

    def abandoned(self, passed: Pass) -> None:
        """It was cancelled, and nothing is known."""
        if passed is Pass.PROBE:
            self._probing = False
