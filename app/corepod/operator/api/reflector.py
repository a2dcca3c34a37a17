"""Keeps a store equal to what the API server has: lists one kind of object, then watches it for as long as possible.

What can go wrong, and how it is handled:

| failure | reaction |
|---|---|
| the watch reaches its time limit | a new watch from where it ended |
| silence beyond the time limit (half-open connection), a reset, half a line, a proxy's page | the same, after a pause |
| 410, as an event or as a status: the requested version is too old | one new list |
| 429 | at least the pause that the server asks for |

Pauses grow with each failure in a row and are random, so that many reflectors do not come back together.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Generic, TypeVar

from corepod.operator.api.errors import ClusterError, Gone, InvalidResponse, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster, Kind, WatchEvent
    from corepod.operator.api.responses import JSON
    from corepod.operator.api.store import Store

F = TypeVar("F")

SECONDS = 60.0  # length of one watch; the server ends it
MARGIN = 5.0  # seconds of silence beyond that length after which the connection counts as broken
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # seconds after one, two, three … failures in a row


class Reflector(Generic[F]):
    """Follows one kind of object, in a thread of its own (`run`)."""

    def __init__(
        self,
        cluster: Cluster,
        kind: Kind,
        decode: Callable[[JSON], F | None],
        store: Store[F],
        *,
        namespace: str = "",
        selector: dict[str, str] | None = None,
        seconds: float = SECONDS,
        jitter: Callable[[float, float], float],
        log: Callable[[str], None],
    ) -> None:
        """`decode` turns an object into a fact, or into None to leave it out, and raises ValueError for a malformed
        one. `jitter` returns a random number between two others.
        """
        self.kind, self.store = kind, store
        self._cluster, self._decode, self._namespace, self._selector = cluster, decode, namespace, selector or {}
        self._seconds, self._jitter, self._log = seconds, jitter, log
        self._version = ""  # empty: a new list is needed
        self._failures = 0
        self.active_at = time.monotonic()  # when it last started reading a page or watching
        self.stopped = threading.Event()

    def run(self) -> None:
        """List and watch until stopped."""
        while not self.stopped.is_set():
            self.stopped.wait(self.step())

    def step(self) -> float:
        """List, or watch until the watch ends. Returns the seconds to pause before the next step."""
        self.active_at = time.monotonic()
        try:
            if not self._version:
                self.list()
            began = time.monotonic()
            self._watch()
        except ClusterError as error:
            return self._failed(error)
        # A watch that ends right after it began hasn't reached its time limit: something on the way cuts it off.
        if time.monotonic() - began < min(1.0, self._seconds / 2):
            return self._pause()
        self._failures = 0
        return 0.0

    def list(self) -> None:
        """Read all objects once. Raises ClusterError."""
        present: set[tuple[str, str]] = set()
        version = ""
        for page in self._cluster.list_pages(self.kind, self._namespace, **self._selector):
            self.active_at = time.monotonic()
            version = version or page.version
            for found in page.items:
                present.add(self._store_object(found))
        self.store.retain(present)
        self._version = version
        self._on_contact()

    def _watch(self) -> None:
        seconds = self._jitter(0.75, 1.0) * self._seconds
        silence = seconds + min(MARGIN, seconds)
        events = self._cluster.watch(
            self.kind, self._version, self._namespace, seconds=seconds, silence=silence, **self._selector
        )
        for event in events:
            self._on_event(event)
            # Not after a list: a server that answers each watch with 410 would be asked for one list after another.
            self._failures = 0
            self._on_contact()
            if self.stopped.is_set():
                return
        self._on_contact()

    def _on_event(self, event: WatchEvent) -> None:
        if event.type == "DELETED":
            key = _key(event.object)
            self.store.malformed.pop(key, None)
            self.store.put(key, None)
        elif event.type != "BOOKMARK":
            self._store_object(event.object)
        self._version = str(event.object["metadata"].get("resourceVersion") or self._version)

    def _store_object(self, found: JSON) -> tuple[str, str]:
        key = _key(found)
        try:
            fact = self._decode(found)
        except ValueError as error:
            # One malformed object must not end the watch of all. The last fact about it stays.
            if key not in self.store.malformed:
                self._log(f"{self.kind.kind} {'/'.join(filter(None, key))} can't be decoded: {error!r}")
            self.store.malformed[key] = repr(error)
            return key
        self.store.malformed.pop(key, None)
        self.store.put(key, fact)
        return key

    # Failures

    def _on_contact(self) -> None:
        self.store.error, self.store.contact = "", time.monotonic()

    def _failed(self, error: ClusterError) -> float:
        if isinstance(error, Gone):
            self._version = ""
        if str(error) != self.store.error:
            self._log(f"watching {self.kind.plural}: {error}")
        self.store.error = str(error)
        requested = error.retry_after or 0.0 if isinstance(error, StatusError) else 0.0
        return max(self._pause(), requested * self._jitter(1.0, 1.2))

    def _pause(self) -> float:
        pause = PAUSES[min(self._failures, len(PAUSES) - 1)]
        self._failures += 1
        return pause * self._jitter(0.5, 1.5)


def _key(found: JSON) -> tuple[str, str]:
    try:
        meta = found["metadata"]
        return str(meta.get("namespace", "")), str(meta["name"])
    except (KeyError, TypeError, AttributeError) as error:
        raise InvalidResponse("an object has no name") from error
