"""What the operator knows of the cluster: one cache and one watch for each kind it looks at."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from corepod.operator import read
from corepod.operator.cluster import AUTOSCALERS, DEPLOYMENTS, NODES, PODS, QUOTAS, STATEFULSETS
from corepod.operator.errors import Forbidden, NotFound
from corepod.operator.view import View
from corepod.operator.watching import Cache, Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.cluster import Cluster
    from corepod.operator.facts import Node, Pod, Quota, Scaler, Workload

SELECTOR = {"labelSelector": f"{read.SIZED}=true"}


class Known:
    """All caches, filled by a thread for each kind."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        seconds: float,
        changed: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        """`namespace` limits what is sized; nodes and pods are seen whole, for all share the nodes' cores."""
        self.nodes: Cache[Node] = Cache(changed)
        self.pods: Cache[Pod] = Cache(changed)
        self.deployments: Cache[Workload] = Cache(changed)
        self.statefulsets: Cache[Workload] = Cache(changed)
        # These two may be forbidden or absent: the API server keeps quotas itself, and who scales can be seen.
        self.quotas: Cache[Quota] = Cache(changed)
        self.scalers: Cache[Scaler] = Cache(changed)
        watch = partial(Watch, cluster, seconds=seconds, jitter=random.uniform, tell=tell)
        ours: dict[str, Any] = {"namespace": namespace, "selector": SELECTOR}
        self.watches: list[Watch[Any]] = [
            watch(DEPLOYMENTS, lambda found: read.workload(found, "Deployment"), self.deployments, **ours),
            watch(STATEFULSETS, lambda found: read.workload(found, "StatefulSet"), self.statefulsets, **ours),
            watch(QUOTAS, read.quota, self.quotas, namespace=namespace),
            watch(AUTOSCALERS, read.scaler, self.scalers, namespace=namespace),
            watch(NODES, read.node, self.nodes),
            watch(PODS, read.pod, self.pods),
        ]
        self._needed = (self.nodes, self.pods, self.deployments, self.statefulsets)
        self._wanted = (self.quotas, self.scalers)

    def start(self) -> None:
        """Watch, in the background, until the process ends."""
        for watch in self.watches:
            threading.Thread(target=watch.run, name=f"watch {watch.kind.plural}", daemon=True).start()

    def read_once(self) -> None:
        """Read everything, once. Raises ClusterError for what is needed."""
        for watch in self.watches:
            try:
                watch.list()
            except (Forbidden, NotFound) as error:
                if watch.cache in self._needed:
                    raise
                watch.cache.error = str(error)

    @property
    def complete(self) -> bool:
        """Whether everything has been read at least once."""
        return all(c.synced for c in self._needed) and all(c.synced or c.error for c in self._wanted)

    def silence(self, now: float) -> float:
        """Seconds since the API server last confirmed what is known of the kind that it confirmed longest ago."""
        return max(now - (cache.contact or 0.0) for cache in self._needed)

    @property
    def version(self) -> int:
        """Grows with each change of a pod or a workload."""
        return self.pods.version + self.deployments.version + self.statefulsets.version

    def workloads(self) -> list[Workload]:
        return self.deployments.all() + self.statefulsets.all()

    def view(self) -> View:
        """The cluster at this moment."""
        return View(self.nodes.all(), self.pods.all(), self.workloads(), self.scalers.all(), self.quotas.all())

    @property
    def turned(self) -> float:
        """When the watch that has longest done nothing last did something (time.monotonic)."""
        return min((watch.turn for watch in self.watches), default=time.monotonic())
