"""When a target is acted on: a higher one at once, a lower one only after it has been lower for a while."""

from __future__ import annotations

from collections import deque


class Peak:
    """The maximum of the numbers of the last `span` seconds."""

    __slots__ = ("_numbers", "span")

    def __init__(self, span: float) -> None:
        self.span = span
        # Falling: a number that is followed by a greater one can never be the maximum again.
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
        """When the present maximum leaves the window."""
        return self._numbers[0][0] + self.span


class Stabilization:
    """The stabilization window of one workload."""

    __slots__ = ("_peak", "due")

    def __init__(self, current: int, wait: float, now: float) -> None:
        """`wait`: seconds that a lower target must hold. The number found at the start counts as a target, too."""
        self._peak = Peak(wait)
        self._peak.add(current, now)
        self.due: float | None = None  # when to decide again, even without a change

    def keep(self, current: int, now: float) -> None:
        """Note that the number has to stay as it is, for whatever reason. It counts as a target."""
        self._peak.add(current, now)
        self.due = None

    def stabilize(self, target: int, *, current: int, running: int, now: float) -> int:
        """The number of pods to set now.

        `running` of `current` pods have a node. Those beyond are removed at once: no working pod is deleted by that,
        and pending pods would hold up a drain or rollout.
        """
        peak = self._peak.add(target, now)
        self.due = None
        if target >= current:
            return target
        number = max(target, min(peak, current, running))
        if number > target:
            self.due = self._peak.ends
        return number
