"""Makes deaths of workers visible in Kubernetes, which can't see them: the next worker is there before a probe fails.

A supervisor sends a datagram when a worker has died. Its content is ignored, so that nothing in it has to be trusted:
the operator then reads the metrics of the pod with the sender's address. Datagrams get lost, so every pod is also read
in turn.

Pods may belong to tenants. What a pod answers is limited in time and size (reader.py), in its numbers and texts
(deaths.py), and in what it makes the operator read (polling.py) and write (budget.py).
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from corepod.operator.api.cluster import PODS
from corepod.operator.api.errors import ClusterError, Conflict, NotFound
from corepod.operator.api.events import Subject
from corepod.operator.restarts import counts, deaths, reader
from corepod.operator.restarts.budget import LINES, LINES_BURST, SPACING, Rate, WriteBudget
from corepod.operator.restarts.polling import READERS, PollQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.events import Events
    from corepod.operator.api.informers import Informers
    from corepod.operator.model.facts import Pod
    from corepod.operator.restarts.counts import RestartRecord
    from corepod.operator.restarts.deaths import DeathCounts
    from corepod.operator.threads import WatchedThreads

REFRESH = 2.0  # seconds between two updates of the set of pods


class PodSettings(NamedTuple):
    """What is the same for all pods."""

    port: int  # of their metrics
    label: str  # what the label shows, one of options.RESTART_LABELS


class Publisher:
    """Reads the metrics of pods and publishes deaths of workers, in several threads."""

    def __init__(
        self,
        cluster: Cluster,
        informers: Informers,
        events: Events,
        pods: PodSettings,
        is_leader: Callable[[], bool],
        log: Callable[[str], None],
    ) -> None:
        """`is_leader` says whether this operator is the one that acts."""
        self._cluster, self._informers, self._events, self._pods = cluster, informers, events, pods
        self._is_leader, self._log = is_leader, log
        self._lock = threading.Condition()
        self._polls = PollQueue()
        self._budget, self._lines = WriteBudget(), Rate(LINES, LINES_BURST)
        # By uid. None: the pod was read and nothing was published about it, as for most pods.
        self._records: dict[str, RestartRecord | None] = {}
        self._reported: dict[str, str] = {}  # the last line of the log about a pod, by uid
        self._refreshed = float("-inf")
        self._version = -1
        self.read = self.published = self.datagrams = self.strangers = 0
        self.failed = Counter(dict.fromkeys(reader.FAILURES, 0))

    def start(self, threads: WatchedThreads) -> None:
        for number in range(READERS):
            threads.run(f"reader {number}", self.step)

    def step(self) -> None:
        """Read the pod whose turn it is, or wait a moment for one."""
        if (pod := self.next()) is None:
            return
        try:
            self.read_pod(pod)
        finally:
            with self._lock:
                self._polls.done(pod.uid)
                self._lock.notify()  # a pod may have waited for this reader

    def on_datagrams(self, address: str, number: int) -> None:
        """Read the pod with this address soon: one of its workers has died."""
        self.datagrams += number
        with self._lock:
            now = time.monotonic()
            if not self._polls.knows(address) and now - self._refreshed >= REFRESH / 10:
                self._refresh(now)
            if self._polls.expedite(address, now):
                self._lock.notify()
            else:
                self.strangers += number

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
        for remembered in (self._records, self._reported):
            for uid in remembered.keys() - present:
                del remembered[uid]
        self._budget.forget(now)
        self._lines.forget(now)

    def read_pod(self, pod: Pod) -> None:
        """Read the metrics of one pod and publish new deaths."""
        if not self._may_write(pod):
            return
        try:
            found = deaths.parse(reader.read(pod.ip, self._pods.port))
        except reader.ReadError as error:
            self._on_failed_read(pod, error.failure, str(error))
        except ValueError as error:
            self._on_failed_read(pod, reader.NOT_COREPOD, str(error))
        else:
            self.read += 1
            self._try_publish(pod, found)

    def _may_write(self, pod: Pod) -> bool:
        """Whether the pod may be written to. If not, it is read when it may be."""
        with self._lock:
            now = time.monotonic()
            earliest = self._budget.earliest(pod, now)
            if earliest > now:
                self._polls.schedule(pod.uid, earliest)
            return earliest <= now

    def _on_failed_read(self, pod: Pod, failure: str, text: str) -> None:
        with self._lock:
            self.failed[failure] += 1
            self._records.setdefault(pod.uid, None)
        if failure in (reader.TOO_LARGE, reader.NOT_COREPOD):  # the others are those of any pod that starts or ends
            with self._lock:
                self._budget.spend(pod, time.monotonic())  # to parse such a response may take a third of a second
            self._report(pod, f"its metrics can't be used: {text}")

    def _report(self, pod: Pod, text: str) -> None:
        """Log a line about a pod, unless it is the last one again, or one of too many in its namespace."""
        with self._lock:
            known, self._reported[pod.uid] = self._reported.get(pod.uid), text
            told = text != known and self._lines.allows(pod.namespace, time.monotonic())
        if told:
            self._log(f"pod {pod.namespace}/{pod.name}: {text}")

    def _try_publish(self, pod: Pod, found: DeathCounts) -> None:
        try:
            self._publish(pod, found)
        except NotFound:
            return
        except Conflict:  # the pod has changed meanwhile, or another one has its name
            with self._lock:
                self._polls.schedule(pod.uid, self._budget.earliest(pod, time.monotonic()))
        except ClusterError as error:
            with self._lock:
                self._polls.schedule(pod.uid, self._budget.earliest(pod, time.monotonic() + SPACING))
            self._report(pod, f"its restarts could not be published: {error}")

    def _publish(self, pod: Pod, found: DeathCounts) -> None:
        known = self._records.get(pod.uid)
        if not found.count or (known is not None and known.after(found)[0].total == known.total):
            self._records[pod.uid] = known.after(found)[0] if known else None
            return
        meta = self._cluster.get(PODS, pod.namespace, pod.name).get("metadata") or {}
        before = counts.continued(known, counts.record(meta.get("annotations") or {}))
        record, reasons = before.after(found)
        if record.total == before.total:
            self._records[pod.uid] = record
        elif self._is_leader():
            self._write(pod, record, counts.listed(reasons), str(meta.get("resourceVersion") or ""))
            self._tell(pod, record.total - before.total, record.total, counts.listed(reasons))

    def _write(self, pod: Pod, record: RestartRecord, reasons: str, version: str) -> None:
        with self._lock:
            self._budget.spend(pod, time.monotonic())
        last = f"{reasons} ({datetime.now(UTC).strftime('%Y-%m-%dT%H:%M:%SZ')})"
        labels, annotations = counts.labels(record.total, self._pods.label), counts.published(record, last)
        # With the uid, because a StatefulSet's next pod has the same name, and with the version, because another
        # operator may act by the time that the write of a process that was stopped arrives.
        meta = {"uid": pod.uid, "resourceVersion": version, "labels": labels, "annotations": annotations}
        self._cluster.patch(PODS, pod.namespace, pod.name, {"metadata": meta})
        self._records[pod.uid] = record
        self.published += 1

    def _tell(self, pod: Pod, more: int, total: int, reasons: str) -> None:
        subject = Subject("v1", "Pod", pod.namespace, pod.name, pod.uid)
        message = f"{more} {'worker' if more == 1 else 'workers'} died ({reasons}); {total} in total"
        self._events.warning(subject, "WorkerRestarted", message, repeat=True)
