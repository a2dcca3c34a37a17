"""When a number that is wished for is acted on: more at once, less only when it has been less for a while."""

from __future__ import annotations

from collections import deque


class Peak:
    """The greatest of the numbers of the last `span` seconds."""

    __slots__ = ("_numbers", "span")

    def __init__(self, span: float) -> None:
        self.span = span
        # Falling: a number that is followed by a greater one will never be the greatest again.
        self._numbers: deque[tuple[float, int]] = deque()

    def add(self, number: int, now: float) -> int:
        while self._numbers and self._numbers[-1][1] <= number:
            self._numbers.pop()
        self._numbers.append((now, number))
        while now - self._numbers[0][0] >= self.span:
            self._numbers.popleft()
        return self._numbers[0][1]

    @property
    def ends(self) -> float:
        """When the greatest is forgotten."""
        return self._numbers[0][0] + self.span


class Steady:
    """One workload's course."""

    __slots__ = ("_peak", "due")

    def __init__(self, current: int, wait: float, now: float) -> None:
        """`wait`: seconds that less has to be wished for. The number found at the start counts as a wish, too."""
        self._peak = Peak(wait)
        self._peak.add(current, now)
        self.due: float | None = None  # when to look again even if nothing happens

    def keep(self, current: int, now: float) -> None:
        """The number has to stay as it is, for whatever reason: nothing less was wished for."""
        self._peak.add(current, now)
        self.due = None

    def settle(self, wish: int, *, current: int, running: int, now: float) -> int:
        """The number to ask for now.

        `running` of `current` pods have a place. What goes beyond them is given up at once: no pod that works is
        deleted by it, and pods that wait for a place would hold up a drain or rollout.
        """
        peak = self._peak.add(wish, now)
        self.due = None
        if wish >= current:
            return wish
        number = max(wish, min(peak, current, running))
        if number > wish:
            self.due = self._peak.ends
        return number
