"""Shows what `kubectl` can't see: that workers die and are back before any probe notices.

A supervisor sends a datagram when a worker has died. It says nothing but "look at me", so that nothing has to be
believed: the operator then reads the metrics of the pod with that address. Datagrams get lost, so each pod is also
read in its turn.
"""

from __future__ import annotations

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
from corepod.operator.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.cluster import Cluster
    from corepod.operator.events import Events
    from corepod.operator.facts import Pod
    from corepod.operator.known import Known

READERS = 8  # threads: a pod that doesn't answer holds up one of them
TIMEOUT = 2.0  # seconds for a pod's answer
LARGEST = 1 << 20  # bytes of it
REFRESH = 2.0  # seconds between two looks at which pods there are
WRITES = 3.0  # seconds between two writes to one pod
NONE = ("", "0")  # labels that say that no worker of a pod has died


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
        """`port` is the pods' admin port; `may` says whether this process is the one that acts."""
        self._cluster, self._known, self._events, self._port = cluster, known, events, port
        self._may, self._tell = may, tell
        self._lock = threading.Condition()
        self._rounds = Rounds()
        # By uid. None: it was tried, and nothing has to be remembered; most pods are like that.
        self._records: dict[str, Record | None] = {}
        self._wrote: dict[str, float] = {}
        self._refreshed = float("-inf")
        self._version = -1
        self.read = self.failed = self.published = self.knocks = 0

    def start(self) -> None:
        for number in range(READERS):
            threading.Thread(target=self.run, name=f"reader {number}", daemon=True).start()

    def run(self) -> None:
        """Read the pod whose turn it is, for ever."""
        while True:
            pod = self.next()
            if pod is not None:
                self.look(pod)

    def knock(self, address: str) -> None:
        """A pod with this address says that there is something to see."""
        self.knocks += 1
        with self._lock:
            now = time.monotonic()
            if not self._rounds.know(address) and now - self._refreshed >= REFRESH / 10:
                self._refresh(now)
            self._rounds.ask(address, now)
            self._lock.notify()

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
            pod, pause = self._rounds.next(now)
            if pod is None:
                self._lock.wait(min(pause, 1.0))
            return pod

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        if (version := self._known.version) == self._version:
            return
        self._version = version
        looked_after = {workload.key for workload in self._known.workloads()}
        pods = (p for p in self._known.pods.all() if p.workload in looked_after and p.ip and p.phase == "Running")
        present = self._rounds.settle(pods, self._records, now)
        for remembered in (self._records, self._wrote):
            for uid in remembered.keys() - present:
                del remembered[uid]

    def look(self, pod: Pod) -> None:
        """Read one pod, and publish what is new."""
        now = time.monotonic()
        may_write = self._wrote.get(pod.uid, -WRITES) + WRITES
        if now < may_write:
            with self._lock:
                self._rounds.again(pod.uid, may_write)
            return
        try:
            reading = restarts.parse(self._metrics(pod.ip))
        except (OSError, ValueError, http.client.HTTPException):
            self.failed += 1
            self._records.setdefault(pod.uid, None)
            return
        self.read += 1
        try:
            self._publish(pod, reading)
        except NotFound:
            return  # it has gone meanwhile
        except ClusterError as error:
            with self._lock:
                self._rounds.again(pod.uid, now + WRITES)
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
        before = self._record(pod)
        record, reasons = before.after(reading)
        if record.total == before.total:
            self._records[pod.uid] = record if record.total else None
            return
        if not self._may():
            return
        last = f"{', '.join(reasons)} ({datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')})"
        labels, annotations = restarts.labels(record.total), restarts.published(record, last)
        # With the uid: a StatefulSet's next pod has the same name.
        meta = {"uid": pod.uid, "labels": labels, "annotations": annotations}
        self._cluster.patch(PODS, pod.namespace, pod.name, {"metadata": meta})
        self._records[pod.uid], self._wrote[pod.uid] = record, time.monotonic()
        self.published += 1
        subject = Subject("v1", "Pod", pod.namespace, pod.name, pod.uid)
        more = record.total - before.total
        words = f"{more} more worker{'s' if more > 1 else ''} died ({', '.join(reasons)}); {record.total} in all"
        self._events.warning(subject, "WorkerRestarted", words, again=True)

    def _record(self, pod: Pod) -> Record:
        """What has been published of it, by this operator or the one before."""
        if (known := self._records.get(pod.uid)) is not None:
            return known
        if pod.restarts in NONE:
            return Record()
        meta = self._cluster.get(PODS, pod.namespace, pod.name).get("metadata") or {}
        return restarts.record(meta.get("annotations") or {})
