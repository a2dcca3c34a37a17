"""Shows what `kubectl` can't see: that workers die and are back before any probe notices.

A supervisor sends a datagram when a worker has died. It says nothing but "look at me", so that nothing has to be
believed: the operator then reads the metrics of the pod with that address. Datagrams get lost, so each pod is also
read by itself once in INTERVAL. All together at RATE at the most, however many there are.
"""

from __future__ import annotations

import heapq
import http.client
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from corepod.operator import restarts
from corepod.operator.cluster import PODS
from corepod.operator.errors import ClusterError, NotFound
from corepod.operator.events import Subject
from corepod.operator.restarts import Record

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.cluster import Cluster
    from corepod.operator.events import Events
    from corepod.operator.facts import Pod
    from corepod.operator.known import Known

INTERVAL = 50.0  # seconds after which a pod is read again, asked for or not
RETRY = 10.0  # seconds after a read that failed: a new pod may not answer yet
RATE = 50.0  # reads a second
READERS = 8  # threads: a pod that doesn't answer holds up one of them
TIMEOUT = 2.0  # seconds for a pod's answer
LARGEST = 1 << 20  # bytes of it
REFRESH = 2.0  # seconds between two looks at which pods there are
SPACING = 3.0  # seconds between two writes to one pod
SOON = 0.05  # seconds after a datagram: the death has to be in the metrics


class Publisher:
    """Reads pods and publishes what they say, in threads."""

    def __init__(
        self,
        cluster: Cluster,
        known: Known,
        events: Events,
        port: int,
        may: Callable[[], bool],
        tell: Callable[[str], None],
    ) -> None:
        self._cluster, self._known, self._events, self._port, self._may, self._tell = (
            cluster,
            known,
            events,
            port,
            may,
            tell,
        )
        self._lock = threading.Condition()
        self._due: dict[str, float] = {}  # when to read each pod, by uid
        self._heap: list[tuple[float, str]] = []
        self._pods: dict[str, Pod] = {}
        self._at: dict[str, list[str]] = {}  # uids by address
        self._records: dict[str, Record] = {}
        self._wrote: dict[str, float] = {}
        self._refreshed = self._next = 0.0
        self.read = self.failed = self.published = self.knocks = 0

    def start(self) -> None:
        for number in range(READERS):
            threading.Thread(target=self.run, name=f"reader {number}", daemon=True).start()

    def run(self) -> None:
        """Read the pod that is due next, for ever."""
        while True:
            pod = self.next()
            if pod is not None:
                self.look(pod)

    def knock(self, address: str) -> None:
        """A pod with this address says that there is something to see."""
        self.knocks += 1
        with self._lock:
            now = time.monotonic()
            if address not in self._at and now - self._refreshed >= REFRESH / 10:
                self._refresh(now)
            for uid in self._at.get(address, ()):
                self._plan(uid, now + SOON)
            self._lock.notify()

    # Whose turn it is

    def next(self) -> Pod | None:
        """Wait for the next turn; None for none yet."""
        with self._lock:
            now = time.monotonic()
            if not self._may():
                self._records.clear()  # another operator goes on with what it has published
                self._lock.wait(1.0)
                return None
            if now - self._refreshed >= REFRESH:
                self._refresh(now)
            due = max(self._heap[0][0], self._next) if self._heap else now + 1.0
            if due > now:
                self._lock.wait(min(1.0, due - now))
                return None
            at, uid = heapq.heappop(self._heap)
            if uid not in self._pods or self._due.get(uid) != at:
                return None
            self._next = now + 1.0 / RATE
            self._plan(uid, now + INTERVAL)
            return self._pods[uid]

    def _plan(self, uid: str, at: float) -> None:
        planned = self._due.get(uid)
        if planned is not None and planned <= at and planned > time.monotonic():
            return
        self._due[uid] = at
        heapq.heappush(self._heap, (at, uid))

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        looked_after = {workload.key for workload in self._known.workloads()}
        pods = [p for p in self._known.pods.all() if p.workload in looked_after and p.ip and p.phase == "Running"]
        self._pods = {pod.uid: pod for pod in pods}
        self._at = {}
        for number, pod in enumerate(pods):
            self._at.setdefault(pod.ip, []).append(pod.uid)
            if pod.uid not in self._due:
                # Spread over the interval: after a start all of them are new.
                self._plan(pod.uid, now + min(INTERVAL, number / RATE))
        for remembered in (self._due, self._records, self._wrote):
            for uid in remembered.keys() - self._pods.keys():
                del remembered[uid]

    # What it says

    def look(self, pod: Pod) -> None:
        """Read one pod, and publish what is new."""
        now = time.monotonic()
        wait = self._wrote.get(pod.uid, -SPACING) + SPACING - now
        if wait > 0:
            with self._lock:
                self._plan(pod.uid, now + wait)
            return
        try:
            reading = restarts.parse(self._metrics(pod.ip))
        except (OSError, ValueError, http.client.HTTPException):
            self.failed += 1
            with self._lock:
                self._plan(pod.uid, now + RETRY)
            return
        self.read += 1
        try:
            self._publish(pod, reading)
        except NotFound:
            return  # it has gone meanwhile
        except ClusterError as error:
            self._tell(f"the restarts of pod {pod.namespace}/{pod.name} are not published: {error}")

    def _metrics(self, address: str) -> str:
        connection = http.client.HTTPConnection(address, self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/metrics", headers={"Connection": "close"})
            answer = connection.getresponse()
            if answer.status != 200:
                raise ValueError(f"status {answer.status}")
            return answer.read(LARGEST).decode()
        finally:
            connection.close()

    def _publish(self, pod: Pod, reading: restarts.Reading) -> None:
        if pod.uid not in self._records and not reading.count and pod.restarts in ("", "0"):
            self._records[pod.uid] = Record(0, reading.started, 0, reading.reasons)
            return
        before = self._record(pod)
        record, reasons = before.after(reading)
        if record.total == before.total:
            self._records[pod.uid] = record
            return
        if not self._may():
            return
        last = f"{', '.join(reasons)} ({datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')})"
        meta = {
            "uid": pod.uid,
            "annotations": restarts.published(record, last),
            "labels": restarts.labels(record.total),
        }
        self._cluster.patch(PODS, pod.namespace, pod.name, {"metadata": meta})
        self._records[pod.uid], self._wrote[pod.uid] = record, time.monotonic()
        self.published += 1
        subject = Subject("v1", "Pod", pod.namespace, pod.name, pod.uid)
        more = record.total - before.total
        words = f"{more} more worker{'s' if more > 1 else ''} died ({', '.join(reasons)}); {record.total} in all"
        self._events.warning(subject, "WorkerRestarted", words, again=True)

    def _record(self, pod: Pod) -> Record:
        if pod.uid not in self._records:
            found = self._cluster.get(PODS, pod.namespace, pod.name) if pod.restarts not in ("", "0") else {}
            self._records[pod.uid] = restarts.record((found.get("metadata") or {}).get("annotations") or {})
        return self._records[pod.uid]
