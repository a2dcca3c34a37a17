"""Keeps what is known of one kind of object like what the API server has: a list once, then a watch for as long as it
goes on.

What goes wrong, and what follows:

| what | then |
|---|---|
| the watch ends (its time is over) | another one from where it ended |
| silence beyond its time (a half-open connection), a reset, half a line, a proxy's page | the same, after a pause |
| 410, as an event or as a status: the past that is asked for is forgotten | a new list, once |
| 429 | what the server asks for, at the least |

Pauses grow with each failure in a row and are drawn anew each time, so that many watchers do not come back together.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from corepod.operator.errors import ClusterError, Gone, Nonsense, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.answers import JSON
    from corepod.operator.cluster import Change, Cluster, Kind

F = TypeVar("F")

SECONDS = 60.0  # of one watch; the server ends it
MARGIN = 5.0  # seconds later than that it isn't silent but broken
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds after one, two, three … failures in a row


class Cache(Generic[F]):
    """What is known of one kind, by (namespace, name). Written by its watch, read by all threads."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._lock = threading.Lock()
        self._facts: dict[tuple[str, str], F] = {}
        self._changed = changed
        self.synced = False  # a whole list has been read
        self.contact: float | None = None  # when the server last said how things are (time.monotonic)
        self.error = ""  # the last failure, empty while all is well
        self.version = 0  # grows with each change
        self.unread: dict[tuple[str, str], str] = {}  # objects that could not be understood, and why

    def all(self) -> list[F]:
        with self._lock:
            return list(self._facts.values())

    def get(self, namespace: str, name: str) -> F | None:
        with self._lock:
            return self._facts.get((namespace, name))

    def __len__(self) -> int:
        return len(self._facts)

    def put(self, key: tuple[str, str], fact: F | None) -> None:
        """`fact` is what is known of it now, None for nothing."""
        with self._lock:
            old = self._facts.get(key)
            if fact is None:
                self._facts.pop(key, None)
            elif fact != old:
                self._facts[key] = fact
            self.version += fact != old
        if fact != old:
            self._changed()

    def settle(self, present: set[tuple[str, str]]) -> None:
        """A list is complete: whatever it hasn't shown is gone."""
        with self._lock:
            for key in self._facts.keys() - present:
                del self._facts[key]
            for key in self.unread.keys() - present:
                del self.unread[key]
            self.synced = True
            self.version += 1
        self._changed()


class Watch(Generic[F]):
    """One kind of object, followed for ever by a thread of its own (`run`)."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        read: Callable[[JSON], F | None],
        cache: Cache[F],
        *,
        namespace: str = "",
        selector: dict[str, str] | None = None,
        seconds: float = SECONDS,
        jitter: Callable[[float, float], float],
        tell: Callable[[str], None],
    ) -> None:
        """`read` makes a fact of an object, None for one that doesn't matter, and raises ValueError for one without its
        form; `jitter` draws between two numbers.
        """
        self.kind, self.cache = kind, cache
        self._cluster, self._read, self._namespace, self._selector = cluster, read, namespace, selector or {}
        self._seconds, self._jitter, self._tell = seconds, jitter, tell
        self._version = ""  # empty: a list is needed
        self._failures = 0
        self.turn = time.monotonic()  # when it last began to read a page or to watch
        self.stopped = threading.Event()

    def run(self) -> None:
        """Until stopped."""
        while not self.stopped.is_set():
            self.stopped.wait(self.step())

    def step(self) -> float:
        """List, or watch until the watch ends. Returns the seconds to pause before the next step."""
        self.turn = time.monotonic()
        try:
            if not self._version:
                self.list()
            began = time.monotonic()
            self._follow()
        except ClusterError as error:
            return self._failed(error)
        # An end right after the beginning is no end of its time: whatever is between here and there cuts it off.
        if time.monotonic() - began < min(1.0, self._seconds / 2):
            return self._pause()
        self._failures = 0
        return 0.0

    def list(self) -> None:
        """Read everything once. Raises ClusterError."""
        present: set[tuple[str, str]] = set()
        version = ""
        for page in self._cluster.pages(self.kind, self._namespace, **self._selector):
            self.turn = time.monotonic()
            version = version or page.version
            for found in page.items:
                present.add(self._take(found))
        self.cache.settle(present)
        self._version = version
        self._heard()

    def _follow(self) -> None:
        seconds = self._jitter(0.75, 1.0) * self._seconds
        silence = seconds + min(MARGIN, seconds)
        changes = self._cluster.changes(
            self.kind, self._version, self._namespace, seconds=seconds, silence=silence, **self._selector
        )
        for change in changes:
            self._on_change(change)
            # Not after a list: a server that forgets at once would be asked for one list after the other.
            self._failures = 0
            self._heard()
            if self.stopped.is_set():
                return
        self._heard()

    def _on_change(self, change: Change) -> None:
        if change.type == "DELETED":
            key = _key(change.object)
            self.cache.unread.pop(key, None)
            self.cache.put(key, None)
        elif change.type != "BOOKMARK":
            self._take(change.object)
        self._version = str(change.object["metadata"].get("resourceVersion") or self._version)

    def _take(self, found: JSON) -> tuple[str, str]:
        key = _key(found)
        try:
            fact = self._read(found)
        except ValueError as error:
            # One object that nobody understands must not end the watch of all; what was known of it stays.
            if key not in self.cache.unread:
                self._tell(f"{self.kind.kind} {'/'.join(filter(None, key))} is not understood: {error!r}")
            self.cache.unread[key] = repr(error)
            return key
        self.cache.unread.pop(key, None)
        self.cache.put(key, fact)
        return key

    # Failures

    def _heard(self) -> None:
        self.cache.error, self.cache.contact = "", time.monotonic()

    def _failed(self, error: ClusterError) -> float:
        if isinstance(error, Gone):
            self._version = ""
        if str(error) != self.cache.error:
            self._tell(f"watching {self.kind.plural}: {error}")
        self.cache.error = str(error)
        asked = error.retry_after or 0.0 if isinstance(error, Refused) else 0.0
        return max(self._pause(), asked * self._jitter(1.0, 1.2))

    def _pause(self) -> float:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        return pause * self._jitter(0.5, 1.5)


def _key(found: JSON) -> tuple[str, str]:
    try:
        meta = found["metadata"]
        return str(meta.get("namespace", "")), str(meta["name"])
    except (KeyError, TypeError, AttributeError) as error:
        raise Nonsense("an object without a name") from error
