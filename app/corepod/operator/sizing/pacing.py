"""The least time between two writes of one number that only other pods are the reason for.

While pods can't be created or scheduled, the number follows the room that other pods leave, in both directions. In a
cluster where others' pods come and go many times a second, each of these changes would be a write. Any other reason is
acted on at once: it is rare, and a node that comes should be used, and a drain go on, without a wait.
"""

from __future__ import annotations

PAUSE = 5.0  # seconds


class WritePacing:
    """Remembers the last write to one workload, and what it was based on."""

    __slots__ = ("_basis", "_most", "_number", "_running", "_written_at", "_written_for", "due")

    def __init__(self) -> None:
        self._number: int | None = None  # the last one that was written
        self._written_at = 0.0
        self._basis = self._written_for = object()
        self._running = self._most = 0  # of its pods, now and at most since the last write
        self.due: float | None = None  # when to decide again, even without a change

    def wrote(self, number: int, now: float) -> None:
        self._number, self._written_at, self._written_for, self._most = number, now, self._basis, self._running

    def keep(self) -> None:
        """Note that the number has to stay as it is, for another reason."""
        self.due = None

    def paced(self, wanted: int, *, current: int, basis: object, running: int, now: float) -> int:
        """The number to set now: `wanted`, or `current` until the pause is over.

        `basis` is equal as long as nothing has changed but pods. When fewer of its own pods are `running` than before,
        one was evicted or has ended: the workload itself has changed.
        """
        self._basis, self._running, self.due = basis, running, None
        self._most = max(self._most, running)
        others = current == self._number and basis == self._written_for and running == self._most
        if wanted == current or not others or now - self._written_at >= PAUSE:
            return wanted
        self.due = self._written_at + PAUSE
        return current
