"""What the operator knows about the cluster: one store and one reflector for each kind of object."""

from __future__ import annotations

import random
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from corepod.operator.api import decode
from corepod.operator.api.cluster import DEPLOYMENTS, HORIZONTAL_AUTOSCALERS, NODES, PODS, QUOTAS, STATEFULSETS
from corepod.operator.api.errors import Forbidden, NotFound
from corepod.operator.api.reflector import Reflector
from corepod.operator.api.store import Store
from corepod.operator.model.names import SIZED
from corepod.operator.model.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.responses import JSON
    from corepod.operator.model.facts import HorizontalAutoscaler, Node, Pod, Quota, Workload

F = TypeVar("F")

SELECTOR = {"labelSelector": f"{SIZED}=true"}


class Informers:
    """All stores, each kept up to date by a thread of its own."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespaces: tuple[str, ...],
        seconds: float,
        changed: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        """`namespaces` limits which workloads are sized. Nodes and pods are read from all: they share the cores.

        Of several namespaces the objects are picked from those of all, so that there is one watch a kind.
        """
        self.nodes: Store[Node] = Store(changed)
        self.pods: Store[Pod] = Store(changed)
        self.deployments: Store[Workload] = Store(changed)
        self.statefulsets: Store[Workload] = Store(changed)
        # Optional: access may be forbidden or the API missing. The API server enforces quotas itself, and what an HPA
        # does shows in the number of replicas.
        self.quotas: Store[Quota] = Store(changed)
        self.hpas: Store[HorizontalAutoscaler] = Store(changed)
        reflector = partial(Reflector, cluster, seconds=seconds, jitter=random.uniform, log=log)
        namespace = namespaces[0] if len(namespaces) == 1 else ""
        sized: dict[str, Any] = {"namespace": namespace, "selector": SELECTOR}
        within = partial(_within, namespaces)
        self.reflectors: list[Reflector[Any]] = [
            reflector(
                DEPLOYMENTS, within(lambda found: decode.workload(found, "Deployment")), self.deployments, **sized
            ),
            reflector(
                STATEFULSETS, within(lambda found: decode.workload(found, "StatefulSet")), self.statefulsets, **sized
            ),
            reflector(QUOTAS, within(decode.quota), self.quotas, namespace=namespace),
            reflector(HORIZONTAL_AUTOSCALERS, within(decode.horizontal_autoscaler), self.hpas, namespace=namespace),
            reflector(NODES, decode.node, self.nodes),
            reflector(PODS, decode.pod, self.pods),
        ]
        self._required = (self.nodes, self.pods, self.deployments, self.statefulsets)
        self._optional = (self.quotas, self.hpas)

    def start(self) -> None:
        """Start all reflectors. Their threads run until the process ends."""
        for reflector in self.reflectors:
            threading.Thread(target=reflector.run, name=f"reflector {reflector.kind.plural}", daemon=True).start()

    def read_once(self) -> None:
        """Read everything once. Raises ClusterError if one of the required kinds can't be read."""
        for reflector in self.reflectors:
            try:
                reflector.list()
            except (Forbidden, NotFound) as error:
                if reflector.store in self._required:
                    raise
                reflector.store.error = str(error)

    @property
    def complete(self) -> bool:
        """Whether everything has been read at least once."""
        return all(c.synced for c in self._required) and all(c.synced or c.error for c in self._optional)

    def silence(self, now: float) -> float:
        """Seconds since the API server last confirmed the least recently confirmed of the required kinds."""
        return max(now - (store.contact or 0.0) for store in self._required)

    @property
    def version(self) -> int:
        """Grows with each change of a pod or a workload."""
        return self.pods.version + self.deployments.version + self.statefulsets.version

    def workloads(self) -> list[Workload]:
        return self.deployments.all() + self.statefulsets.all()

    def snapshot(self) -> Snapshot:
        """The cluster at this moment."""
        version = self.nodes.version  # before the nodes: a change in between is seen as one in the next round
        return Snapshot(
            self.nodes.all(), self.pods.all(), self.workloads(), self.hpas.all(), self.quotas.all(), version
        )

    @property
    def active_at(self) -> float:
        """When the least recently active reflector was last active (time.monotonic)."""
        return min((reflector.active_at for reflector in self.reflectors), default=time.monotonic())


def _within(namespaces: tuple[str, ...], decode: Callable[[JSON], F | None]) -> Callable[[JSON], F | None]:
    """The decoder for objects of these namespaces, which leaves out all others; of all namespaces if there are none."""

    def picked(found: JSON) -> F | None:
        return decode(found) if found["metadata"].get("namespace") in namespaces else None

    return picked if namespaces else decode
