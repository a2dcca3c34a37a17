"""Events on the objects that are looked after: what `kubectl describe` shows."""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.cluster import EVENTS
from corepod.operator.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.answers import JSON
    from corepod.operator.cluster import Cluster

AGAIN = 3600.0  # seconds after which the same is said again
REMEMBERED = 10_000
WAITING = 500  # events that may wait to be written; a burst beyond that isn't news any more
LONGEST = 1000  # characters of a message; the API server takes 1024
COMPONENT = "corepod-operator"


class Subject(NamedTuple):
    """What an event is about."""

    version: str
    kind: str
    namespace: str
    name: str
    uid: str


class Events:
    """Written by a thread of its own: a slow API server must not hold up what matters."""

    def __init__(self, cluster: Cluster, instance: str, tell: Callable[[str], None]) -> None:
        self._cluster, self._instance, self._tell = cluster, instance, tell
        self._said: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._queue: queue.Queue[JSON] = queue.Queue(WAITING)
        self.written = self.dropped = 0

    def start(self) -> None:
        threading.Thread(target=self.run, name="events", daemon=True).start()

    def normal(self, subject: Subject, reason: str, message: str) -> None:
        """Something was done: it is said each time."""
        self._put(subject, "Normal", reason, message)

    def warning(self, subject: Subject, reason: str, message: str, *, again: bool = False) -> None:
        """Something is wrong: the same is said once an hour, or with `again` each time."""
        known, now = (subject.uid, reason, message), time.monotonic()
        if not again and now - self._said.get(known, -AGAIN) < AGAIN:
            return
        self._said[known] = now
        self._said.move_to_end(known)
        if len(self._said) > REMEMBERED:
            self._said.popitem(last=False)
        self._put(subject, "Warning", reason, message)

    def run(self) -> None:
        """Write what comes, for ever."""
        while True:
            self.step()

    def step(self) -> None:
        """Write the next one."""
        body = self._queue.get()
        try:
            self._cluster.create(EVENTS, body["metadata"]["namespace"], body)
            self.written += 1
        except ClusterError as error:
            self.dropped += 1
            self._tell(f"an event is lost: {error}")
        finally:
            self._queue.task_done()

    def flush(self) -> None:
        """Write what waits, in this thread."""
        while not self._queue.empty():
            self.step()

    def _put(self, subject: Subject, type_: str, reason: str, message: str) -> None:
        if len(message) > LONGEST:
            message = message[:LONGEST] + " …"
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        about = {"apiVersion": subject.version, "kind": subject.kind, "namespace": subject.namespace}
        body = {
            "metadata": {"name": f"{subject.name[:200]}.{uuid.uuid4().hex[:16]}", "namespace": subject.namespace},
            "involvedObject": {**about, "name": subject.name, "uid": subject.uid},
            "type": type_,
            "reason": reason,
            "message": message,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
            "source": {"component": COMPONENT},
            "reportingComponent": COMPONENT,
            "reportingInstance": self._instance,
        }
        try:
            self._queue.put_nowait(body)
        except queue.Full:
            self.dropped += 1
