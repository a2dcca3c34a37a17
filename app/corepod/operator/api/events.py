"""Events on the objects that the operator manages: `kubectl describe` shows them."""

from __future__ import annotations

import queue
import time
import uuid
from collections import OrderedDict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.api.cluster import EVENTS
from corepod.operator.api.errors import ClusterError

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.responses import JSON
    from corepod.operator.threads import WatchedThreads

REPEAT = 3600.0  # seconds after which an identical warning is repeated
REMEMBERED = 10_000  # warnings
WAITING = 500  # events that may wait to be written; those beyond are dropped
LONGEST = 1000  # characters of a message; the API server accepts 1024
IDLE = 1.0  # seconds to wait for an event, so that the thread shows that it is alive
COMPONENT = "corepod-operator"


class Subject(NamedTuple):
    """The object that an event is about."""

    version: str
    kind: str
    namespace: str
    name: str
    uid: str


class Events:
    """Writes Events in a thread of its own, so that a slow API server doesn't delay sizing."""

    def __init__(self, cluster: Cluster, instance: str, log: Callable[[str], None]) -> None:
        self._cluster, self._instance, self._log = cluster, instance, log
        self._recent: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._queue: queue.Queue[JSON] = queue.Queue(WAITING)
        self.written = self.dropped = 0

    def start(self, threads: WatchedThreads) -> None:
        threads.run("events", self.step)

    def normal(self, subject: Subject, reason: str, message: str) -> None:
        """Report something that was done. Each call writes an Event."""
        self._put(subject, "Normal", reason, message)

    def warning(self, subject: Subject, reason: str, message: str, *, repeat: bool = False) -> None:
        """Report a problem. An identical warning is written once an hour, with `repeat` each time."""
        if repeat or self._is_new((subject.uid, reason, message), time.monotonic()):
            self._put(subject, "Warning", reason, message)

    def _is_new(self, warning: tuple[str, str, str], now: float) -> bool:
        if now - self._recent.get(warning, -REPEAT) < REPEAT:
            return False
        self._recent[warning] = now
        self._recent.move_to_end(warning)
        if len(self._recent) > REMEMBERED:
            self._recent.popitem(last=False)
        return True

    def step(self) -> None:
        """Write the next Event, or wait a moment for one."""
        try:
            body = self._queue.get(timeout=IDLE)
        except queue.Empty:
            return
        try:
            self._cluster.create(EVENTS, body["metadata"]["namespace"], body)
            self.written += 1
        except ClusterError as error:
            self.dropped += 1
            self._log(f"an Event was not written: {error}")
        finally:
            self._queue.task_done()

    def flush(self) -> None:
        """Write all waiting Events in the calling thread."""
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
