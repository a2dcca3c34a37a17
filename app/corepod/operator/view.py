"""The cluster at one moment, with the sums that several decisions need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.facts import Key, Node, Pod, Quota, Scaler, Workload


class View:
    """Facts, and what follows from them for each node and each workload. Made for one decision, never changed."""

    def __init__(
        self,
        nodes: Iterable[Node],
        pods: Iterable[Pod],
        workloads: Iterable[Workload],
        scalers: Iterable[Scaler] = (),
        quotas: Iterable[Quota] = (),
    ) -> None:
        self.nodes = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
        self.workloads = {each.key: each for each in sorted(workloads, key=lambda each: each.key)}
        self.scalers = {each.target: each for each in scalers}
        self.quotas = tuple(quotas)
        self.left = {name: dict(node.allocatable) for name, node in self.nodes.items()}  # by no pod requested
        self.pods: dict[Key, list[Pod]] = {}  # by what made them, only of workloads that are looked after
        for pod in pods:
            self._add(pod)

    def _add(self, pod: Pod) -> None:
        if pod.workload in self.workloads:
            self.pods.setdefault(pod.workload, []).append(pod)
        left = self.left.get(pod.node)
        if left is None or pod.over:
            return
        for name, much in pod.requests:
            left[name] = left.get(name, 0) - much
