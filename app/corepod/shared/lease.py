"""What the holder of a lock knows of its lease, by its own clock. Pure: the time comes in.

A lease counts from before the question that got it, so it is over for the holder no later than for everybody else.
"""

from __future__ import annotations

from typing import NamedTuple


class Lease(NamedTuple):
    """Since when, and for how long."""

    asked: float  # when it was asked for, seconds of a clock that also counts while the machine sleeps
    seconds: float

    @property
    def ends(self) -> float:
        return self.asked + self.seconds

    def over(self, now: float) -> bool:
        return now >= self.ends

    def next_renewal(self, now: float, failed: int) -> float:
        """Seconds until it should be renewed: after a third; where that has failed, soon and ever less often."""
        if not failed:
            return max(0.0, self.asked + self.seconds / 3 - now)
        return min(self.seconds / 30 * float(2 ** min(failed - 1, 3)), max(0.0, self.ends - now))
