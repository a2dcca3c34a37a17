"""Notices when another writer keeps changing a number that the operator sets, and gives way to it."""

from __future__ import annotations

from collections import deque

ECHO = 15.0  # seconds within which the watch must show a number that was written
MEMORY = 3600.0  # seconds for which changes by others are counted: GitOps tools write every few minutes
CHANGES = 3  # by others, to a number written here, that make a conflict: people do it once
REST = 600.0  # seconds of giving way, doubled each time
REST_MOST = 6 * 3600.0


class CompetingWriter:
    """Tracks one number (replicas, or an HPA's maxReplicas) that is written here and perhaps by others."""

    __slots__ = ("_changes", "_echoed", "_generation", "_rest", "_seen", "_until", "_written", "_written_at")

    def __init__(self) -> None:
        self._written: int | None = None  # the last number written here, None once another writer has changed it
        self._written_at = 0.0
        self._echoed = False
        self._seen = self._generation = 0  # of the object: the last one seen, and the one at the last write
        self._changes: deque[float] = deque()  # when others changed a number that was written here
        self._rest = REST
        self._until: float | None = None

    def wrote(self, number: int, now: float) -> None:
        self._written, self._written_at, self._echoed = number, now, False
        self._generation = self._seen

    def observe(self, number: int, now: float, generation: int = 0) -> int:
        """The current number. What the watch shows may be older than what was just written here.

        The `generation` of the object rises with each change of it; it is 0 for objects that have none.
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
        """Whether the operator must not write for now, because another writer always changes the number again."""
        while self._changes and now - self._changes[0] >= MEMORY:
            self._changes.popleft()
        if self._until is not None:
            if now < self._until:
                return True
            self._until = None
        if len(self._changes) < CHANGES:
            return False
        # One further change after the pause starts the next one: the other writer is still there.
        for _ in range(len(self._changes) - CHANGES + 1):
            self._changes.popleft()
        self._until = now + self._rest
        self._rest = min(REST_MOST, 2 * self._rest)
        return True

    @property
    def due(self) -> float | None:
        """When to decide again, even without a change."""
        if self._until is not None:
            return self._until
        return None if self._written is None or self._echoed else self._written_at + ECHO
