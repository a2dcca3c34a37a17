"""Looks at all pods and their nodes again and again.

Metrics come through the API server's proxy, which costs a pod next to nothing; where that is forbidden or doesn't get
through, a command in the container says the same.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from corepod.kubectl import reading
from corepod.kubectl.crew import Crew
from corepod.kubectl.execute import execute
from corepod.kubectl.grid import Look, NodeFacts, Worker, workers
from corepod.kubectl.pods import find_all
from corepod.operator.api.cluster import NODES, PODS
from corepod.operator.api.errors import ClusterError, Forbidden
from corepod.operator.model.quantity import milli

if TYPE_CHECKING:
    from corepod.kubectl.access import Access
    from corepod.kubectl.pods import Pod
    from corepod.kubectl.reading import Reading

PROXY = 3.0  # seconds for a pod's metrics
EXEC = 10.0  # seconds for a command, which starts a Python on the pod's own core
EXEC_EVERY = 10.0  # least number of seconds between two commands in one pod
LARGEST = 4 << 20  # bytes of metrics
NODES_EVERY = 30.0  # seconds between two lists of the nodes, which seldom change
DESCRIBE = ("corepod", "describe", "--json")


class Fleet:
    """Every pod that was asked for, with the last two readings of each."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._crew = Crew(self._read)
        self._lock = threading.Lock()
        self._closed: set[str] = set()  # pods whose proxy is forbidden, by uid: a pod itself can answer 403, too
        self._executed: dict[str, tuple[float, Reading]] = {}
        self._before: dict[str, Reading] = {}
        self._now: dict[str, Reading] = {}
        self._nodes: list[NodeFacts] | None = None
        self._nodes_at = float("-inf")
        self._note = ""

    def look(self, within: float) -> Look:
        """All pods and nodes, after `within` seconds for the pods' answers at most. Raises ClusterError."""
        pods = find_all(self._access)
        self._look_at_nodes()
        answers = self._crew.look([pod for pod in pods if pod.runs], within)
        rows: list[Worker] = []
        for pod in pods:
            answer = answers.get(pod.uid)
            if isinstance(answer, reading.Reading):
                self._keep(pod.uid, answer)
            now = self._now.get(pod.uid)
            fault = str(answer) if isinstance(answer, Exception) else ""
            rows += workers(pod, now, reading.shares(self._before.get(pod.uid), now) if now else {}, fault)
        self._forget_all_but({pod.uid for pod in pods})
        return Look(time.time(), self._nodes, rows, [self._note] if self._note else [])

    def _forget_all_but(self, present: set[str]) -> None:
        with self._lock:
            for kept in (self._before, self._now, self._executed):
                for uid in kept.keys() - present:
                    del kept[uid]
            self._closed &= present

    def _keep(self, uid: str, found: Reading) -> None:
        if (last := self._now.get(uid)) is not None and last.at != found.at:
            self._before[uid] = last
        self._now[uid] = found

    def _look_at_nodes(self) -> None:
        """Nodes are known to the whole cluster's readers only; without them the view has the nodes that pods name."""
        if (now := time.monotonic()) - self._nodes_at < NODES_EVERY:
            return
        self._nodes_at = now
        try:
            pages = list(self._access.cluster.list_pages(NODES))
        except Forbidden:
            self._note = "cores without a worker aren't shown: the permission to list nodes is missing"
            return
        self._nodes = [
            NodeFacts(item["metadata"]["name"], milli(str(item["status"].get("capacity", {}).get("cpu", "0"))) // 1000)
            for page in pages
            for item in page.items
        ]

    def _read(self, pod: Pod) -> Reading:
        """Raises ClusterError or ValueError."""
        if pod.uid in self._closed:
            return self._described(pod)
        path = PODS.path(pod.namespace, f"{pod.name}:{pod.port}", "proxy/metrics")
        try:
            body = self._access.transport.fetch(path, {}, within=PROXY, most=LARGEST)
            return reading.from_metrics(body.decode(errors="replace"), time.monotonic())
        except (ClusterError, ValueError) as error:
            if isinstance(error, Forbidden):
                self._closed.add(pod.uid)
            try:
                return self._described(pod)
            except (ClusterError, ValueError) as second:
                raise ValueError(f"{second} (and its metrics: {error})") from second

    def _described(self, pod: Pod) -> Reading:
        with self._lock:
            at, known = self._executed.get(pod.uid, (float("-inf"), None))
        if known is not None and time.monotonic() - at < EXEC_EVERY:
            return known
        ended = execute(self._access.transport, pod, DESCRIBE, within=EXEC)
        if ended.code:
            raise ValueError(ended.err.strip() or f"corepod describe has ended with {ended.code}")
        found = reading.from_status(json.loads(ended.out), time.monotonic())
        with self._lock:
            self._executed[pod.uid] = (time.monotonic(), found)
        return found
