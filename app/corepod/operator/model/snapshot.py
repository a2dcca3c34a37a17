"""The cluster at one moment, with the sums that decisions need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import HorizontalAutoscaler, Key, Node, Pod, Quota, Workload


class Snapshot:
    """Facts, what each node has left, and the pods of each workload.

    Made for one round of decisions, which changes `left`.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        pods: Iterable[Pod],
        workloads: Iterable[Workload],
        hpas: Iterable[HorizontalAutoscaler] = (),
        quotas: Iterable[Quota] = (),
        nodes_version: int = 0,
    ) -> None:
        """`nodes_version` differs whenever a node has changed."""
        self.nodes = {node.name: node for node in sorted(nodes, key=lambda node: node.name)}
        self.workloads = {each.key: each for each in sorted(workloads, key=lambda each: each.key)}
        self.hpas = {each.target: each for each in hpas}
        self.quotas = tuple(quotas)
        self.nodes_version = nodes_version
        self.left = {
            name: dict(node.allocatable) for name, node in self.nodes.items()
        }  # of each node: what no pod requests
        self.pods: dict[Key, list[Pod]] = {}  # of each sized workload
        for pod in pods:
            self._add(pod)

    def _add(self, pod: Pod) -> None:
        if pod.workload in self.workloads:
            self.pods.setdefault(pod.workload, []).append(pod)
        left = self.left.get(pod.node)
        if left is None or pod.finished:
            return
        for name, much in pod.requests:
            left[name] = left.get(name, 0) - much
