"""Sees that somebody else sets the same number again and again, and gives way."""

from __future__ import annotations

from collections import deque

ECHO = 15.0  # seconds in which a number that was written has to come back through the watch
MEMORY = 3600.0  # seconds in which changes by others are counted: GitOps tools come every few minutes
CHANGES = 3  # by others, of what was written here: people do it once
REST = 600.0  # seconds of giving way, doubled each time that follows
REST_MOST = 6 * 3600.0


class Rival:
    """One number (replicas, or a HorizontalPodAutoscaler's limit), written here and perhaps elsewhere."""

    __slots__ = ("_changes", "_echoed", "_generation", "_rest", "_seen", "_until", "_written", "_written_at")

    def __init__(self) -> None:
        self._written: int | None = None  # the last number written here, as long as nobody else changed it
        self._written_at = 0.0
        self._echoed = False
        self._seen = self._generation = 0  # of the object: the last one seen, and the one that was written to
        self._changes: deque[float] = deque()  # times at which others changed what was written here
        self._rest = REST
        self._until: float | None = None

    def wrote(self, number: int, now: float) -> None:
        self._written, self._written_at, self._echoed = number, now, False
        self._generation = self._seen

    def see(self, number: int, now: float, generation: int = 0) -> int:
        """The number as it is. What a watch shows may be older than what was just written here.

        `generation` of the object rises with each change of it; 0 for objects that don't count theirs.
        """
        self._seen = generation
        if self._written is None:
            return number
        if number == self._written:
            self._echoed = True
            return number
        older = not generation or generation <= self._generation
        if not self._echoed and older and now - self._written_at < ECHO:
            return self._written
        self._written = None
        self._changes.append(now)
        return number

    def gives_way(self, now: float) -> bool:
        """Whether not to write for a while, because another always has the last word."""
        while self._changes and now - self._changes[0] >= MEMORY:
            self._changes.popleft()
        if self._until is not None:
            if now < self._until:
                return True
            self._until = None
        if len(self._changes) < CHANGES:
            return False
        # One more change after the rest, and it begins again: the other is still there.
        for _ in range(len(self._changes) - CHANGES + 1):
            self._changes.popleft()
        self._until = now + self._rest
        self._rest = min(REST_MOST, 2 * self._rest)
        return True

    @property
    def due(self) -> float | None:
        """When to look again even if nothing happens."""
        if self._until is not None:
            return self._until
        return None if self._written is None or self._echoed else self._written_at + ECHO
