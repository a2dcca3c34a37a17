"""What is known about the objects of one kind."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F")


class Store(Generic[F]):
    """Facts by (namespace, name). Written by one reflector, read by all threads."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._facts: dict[tuple[str, str], F] = {}
        self._changed = changed
        self.synced = False  # a complete list has been read
        self.contact: float | None = None  # when the server last confirmed the contents (time.monotonic)
        self.error = ""  # the last failure, empty while the watch works
        self.version = 0  # grows with each change
        self.malformed: dict[tuple[str, str], str] = {}  # objects that could not be decoded, and why

    def all(self) -> list[F]:
        with self._lock:
            return list(self._facts.values())

    def get(self, namespace: str, name: str) -> F | None:
        with self._lock:
            return self._facts.get((namespace, name))

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, key: tuple[str, str], fact: F | None) -> None:
        """Replace the fact of one object; None removes it."""
        with self._lock:
            old = self._facts.get(key)
            if fact is None:
                self._facts.pop(key, None)
            elif fact != old:
                self._facts[key] = fact
            self.version += fact != old
        if fact != old:
            self._changed()

    def retain(self, present: set[tuple[str, str]]) -> None:
        """Remove every object that a complete list didn't contain."""
        with self._lock:
            for key in self._facts.keys() - present:
                del self._facts[key]
            for key in self.malformed.keys() - present:
                del self.malformed[key]
            self.synced = True
            self.version += 1
        self._changed()
