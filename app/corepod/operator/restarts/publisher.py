"""Makes deaths of workers visible in Kubernetes, which can't see them: the next worker is there before a probe fails.

A supervisor sends a datagram when a worker has died. Its content is ignored, so that nothing in it has to be trusted:
the operator then reads the metrics of the pod with the sender's address. Datagrams get lost, so every pod is also read
in turn.
"""

from __future__ import annotations

import http.client
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from corepod.operator.api.cluster import PODS
from corepod.operator.api.errors import ClusterError, NotFound
from corepod.operator.api.events import Subject
from corepod.operator.restarts import counts
from corepod.operator.restarts.counts import RestartRecord
from corepod.operator.restarts.polling import PollQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.events import Events
    from corepod.operator.api.informers import Informers
    from corepod.operator.model.facts import Pod

READERS = 8  # threads: a pod that doesn't respond blocks one of them
TIMEOUT = 2.0  # seconds for a pod's response
LARGEST = 1 << 20  # bytes of a response
REFRESH = 2.0  # seconds between two updates of the set of pods
WRITES = 3.0  # least number of seconds between two writes to one pod
NONE = ("", "0")  # values of the label for a pod whose workers never died


class Publisher:
    """Reads the metrics of pods and publishes deaths of workers, in several threads."""

    def __init__(
        self,
        cluster: Cluster,
        informers: Informers,
        events: Events,
        port: int,
        is_leader: Callable[[], bool],
        log: Callable[[str], None],
    ) -> None:
        """`port` is the pods' admin port; `is_leader` says whether this operator is the one that acts."""
        self._cluster, self._informers, self._events, self._port = cluster, informers, events, port
        self._is_leader, self._log = is_leader, log
        self._lock = threading.Condition()
        self._polls = PollQueue()
        # By uid. None: the pod was read and nothing was published about it, as for most pods.
        self._records: dict[str, RestartRecord | None] = {}
        self._wrote: dict[str, float] = {}
        self._reading: set[str] = set()
        self._refreshed = float("-inf")
        self._version = -1
        self.read = self.failed = self.published = self.datagrams = 0

    def start(self) -> None:
        for number in range(READERS):
            threading.Thread(target=self.run, name=f"reader {number}", daemon=True).start()

    def run(self) -> None:
        """Read the pod whose turn it is, for ever."""
        while True:
            pod = self.next()
            if pod is not None and self._begin(pod):
                try:
                    self.read_pod(pod)
                finally:
                    self._reading.discard(pod.uid)

    def _begin(self, pod: Pod) -> bool:
        """Whether nobody reads this pod at the moment: two readers at once would publish the same deaths twice."""
        with self._lock:
            if pod.uid in self._reading:
                self._polls.schedule(pod.uid, time.monotonic())
                return False
            self._reading.add(pod.uid)
            return True

    def on_datagram(self, address: str) -> None:
        """Read the pods with this address soon: one of their workers has died."""
        self.datagrams += 1
        with self._lock:
            now = time.monotonic()
            if not self._polls.knows(address) and now - self._refreshed >= REFRESH / 10:
                self._refresh(now)
            self._polls.expedite(address, now)
            self._lock.notify()

    def next(self) -> Pod | None:
        """Wait for the pod whose turn is next; None if there is none yet."""
        with self._lock:
            now = time.monotonic()
            if not self._is_leader():
                self._records.clear()  # another operator continues from what is published
                self._lock.wait(1.0)
                return None
            if now - self._refreshed >= REFRESH:
                self._refresh(now)
            pod, pause = self._polls.next(now)
            if pod is None:
                self._lock.wait(min(pause, 1.0))
            return pod

    def _refresh(self, now: float) -> None:
        self._refreshed = now
        if (version := self._informers.version) == self._version:
            return
        self._version = version
        sized = {workload.key for workload in self._informers.workloads()}
        pods = (p for p in self._informers.pods.all() if p.workload in sized and p.ip and p.phase == "Running")
        present = self._polls.replace(pods, self._records, now)
        for remembered in (self._records, self._wrote):
            for uid in remembered.keys() - present:
                del remembered[uid]

    def read_pod(self, pod: Pod) -> None:
        """Read the metrics of one pod and publish new deaths."""
        now = time.monotonic()
        may_write = self._wrote.get(pod.uid, -WRITES) + WRITES
        if now < may_write:
            with self._lock:
                self._polls.schedule(pod.uid, may_write)
            return
        try:
            found = counts.parse(self._metrics(pod.ip))
        except (OSError, ValueError, http.client.HTTPException):
            self.failed += 1
            self._records.setdefault(pod.uid, None)
            return
        self.read += 1
        try:
            self._publish(pod, found)
        except NotFound:
            return  # the pod is gone
        except ClusterError as error:
            with self._lock:
                self._polls.schedule(pod.uid, now + WRITES)
            self._log(f"restarts of pod {pod.namespace}/{pod.name} could not be published: {error}")

    def _metrics(self, address: str) -> str:
        connection = http.client.HTTPConnection(address, self._port, timeout=TIMEOUT)
        try:
            connection.request("GET", "/metrics", headers={"Connection": "close"})
            response = connection.getresponse()
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            return response.read(LARGEST).decode()
        finally:
            connection.close()

    def _publish(self, pod: Pod, found: counts.DeathCounts) -> None:
        before = self._record(pod)
        record, reasons = before.after(found)
        if record.total == before.total:
            self._records[pod.uid] = record if record.total else None
            return
        if not self._is_leader():
            return
        last = f"{', '.join(reasons)} ({datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')})"
        labels, annotations = counts.labels(record.total), counts.published(record, last)
        # With the uid, because a StatefulSet's next pod has the same name.
        meta = {"uid": pod.uid, "labels": labels, "annotations": annotations}
        self._cluster.patch(PODS, pod.namespace, pod.name, {"metadata": meta})
        self._records[pod.uid], self._wrote[pod.uid] = record, time.monotonic()
        self.published += 1
        subject = Subject("v1", "Pod", pod.namespace, pod.name, pod.uid)
        more = record.total - before.total
        workers = "worker" if more == 1 else "workers"
        message = f"{more} {workers} died ({', '.join(reasons)}); {record.total} in total"
        self._events.warning(subject, "WorkerRestarted", message, repeat=True)

    def _record(self, pod: Pod) -> RestartRecord:
        """What this operator or its predecessor has published about a pod."""
        if (known := self._records.get(pod.uid)) is not None:
            return known
        if pod.restarts in NONE:
            return RestartRecord()
        meta = self._cluster.get(PODS, pod.namespace, pod.name).get("metadata") or {}
        return counts.record(meta.get("annotations") or {})
