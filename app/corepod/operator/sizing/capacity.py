"""How many pods of each workload the cluster has room for: those that run, and the workload's share of free places."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from corepod.operator.model.names import AUTOSCALED
from corepod.operator.sizing.allocation import UNLIMITED, OwnPods, Share, allocate, fits
from corepod.operator.sizing.filters import group_alike, why_not_schedulable
from corepod.operator.sizing.quotas import QuotaBudget, needs
from corepod.operator.sizing.topology import limits, usable_places

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import Demand, Key, Node, Pod
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.annotations import Rules
    from corepod.operator.sizing.topology import DomainLimit

REFUSED = "its kubelet refused such a pod recently"


@dataclass(frozen=True, slots=True)
class CapacityRequest:
    """A workload that needs room. It gets at most `further` free places, none of them on `excluded_nodes`."""

    key: Key
    demand: Demand
    rules: Rules
    further: int = UNLIMITED
    excluded_nodes: frozenset[str] = frozenset()


class NodeGroups:
    """Nodes in groups that are alike for all workloads, so that filters run once per group and not once per node."""

    def __init__(self, snapshot: Snapshot, requests: Iterable[CapacityRequest]) -> None:
        demands = {each.demand for each in requests}
        labels = {label for each in requests for label, _ in each.rules.autoscaled.labels}
        if labels:
            labels.add(AUTOSCALED)
        self.groups = group_alike(snapshot.nodes.values(), demands, labels)
        self.of = {node.name: index for index, group in enumerate(self.groups) for node in group}
        self.candidates = [0] * len(self.groups)  # of each group: how many workloads may use it


class Capacity:
    """The places that a workload can count on: those in use, and its share of the free ones."""

    def __init__(self, snapshot: Snapshot, request: CapacityRequest, node_groups: NodeGroups) -> None:
        self.request, self._snapshot, self._node_groups = request, snapshot, node_groups
        self.held: dict[str, int] = {}  # places in use, by node
        self.allocated: dict[str, int] = {}  # free places allocated to it, by node
        self.scheduled = 0  # its pods that have a node and aren't being deleted
        self.stranded = 0  # those of them on nodes that accept no more
        self.on_autoscaled = 0  # those of them on an autoscaler's nodes, which aren't counted
        self.own: dict[str, OwnPods] = {}  # its pods on nodes it may use
        self._filtered = [why_not_schedulable(request.demand, group[0]) for group in node_groups.groups]
        # Indices of the groups it may use. Lists would take 20 MB with a group per node and a hundred workloads.
        self.open = array(
            "I", (index for index, why in enumerate(self._filtered) if not why and not self._is_autoscaled(index))
        )
        self._count()
        self.in_use = sum(self.held.values())
        self.total = self.in_use

    def why_not_usable(self, node: Node) -> str:
        """Why it gets no further places on a node, empty for a node it may use."""
        group = self._node_groups.of[node.name]
        if self._filtered[group]:
            return self._filtered[group]
        if self._is_autoscaled(group):
            return f"belongs to an autoscaler ({self.request.rules.autoscaled.mark(node)})"
        return REFUSED if node.name in self.request.excluded_nodes else ""

    @property
    def usable(self) -> bool:
        """Whether there is a node it may use."""
        return bool(self.open)

    @property
    def could_use_autoscaled(self) -> bool:
        """Whether it could use nodes of an autoscaler, which don't count."""
        return any(not why and self._is_autoscaled(index) for index, why in enumerate(self._filtered))

    @property
    def node_autoscaling(self) -> bool:
        """Whether an autoscaler adds nodes for its pending pods: it may use such nodes, or an annotation names them."""
        autoscaled, groups = self.request.rules.autoscaled, self._node_groups.groups
        return bool(autoscaled.labels) or any(autoscaled.mark(groups[index][0]) for index in self.open)

    def places(self, node: Node) -> int:
        """How many of its pods a node that it may use has room for, including those that run there."""
        demand, reserve, left = self.request.demand, self.request.rules.reserve, self._snapshot.left[node.name]
        if own := self.own.get(node.name):
            return own.places(left, demand, reserve)
        return fits(left, demand.requests, reserve)

    def _count(self) -> None:
        own: dict[str, OwnPods] = defaultdict(OwnPods)
        for pod in self._snapshot.pods.get(self.request.key, ()):
            if pod.finished or not pod.node:
                continue
            group = self._node_groups.of.get(pod.node)
            self.scheduled += not pod.deleting
            if group is None:
                # Its node is gone. Until it is garbage collected the Deployment counts it all the same, and with one
                # replica less it would delete a pod that works.
                self._strand(pod)
            elif not self._filtered[group] and not self._is_autoscaled(group):
                # Also a pod that is being deleted: its place is for its successor.
                own[pod.node].add(pod.requests)
            elif self._filtered[group]:  # its successor can't run there, so a drain makes progress
                self._strand(pod)
            else:
                self.on_autoscaled += not pod.deleting
        self.own = dict(own)
        for name, pods in own.items():
            self.held[name] = min(pods.count, self.places(self._snapshot.nodes[name]))

    def _strand(self, pod: Pod) -> None:
        self.stranded += not pod.deleting
        self.held[pod.node] = self.held.get(pod.node, 0) + (not pod.deleting)

    def _is_autoscaled(self, group: int) -> bool:
        """Whether the nodes of a group belong to an autoscaler and aren't counted."""
        rules = self.request.rules
        return not rules.counts_autoscaled and bool(rules.autoscaled.mark(self._node_groups.groups[group][0]))

    def finish(self) -> None:
        """Sum up, once everything is allocated."""
        places = self.held | {name: self.held.get(name, 0) + count for name, count in self.allocated.items()}
        self.total = usable_places(self.request.demand, self._snapshot.nodes.values(), places, self.held)

    def share(self, budgets: Iterable[QuotaBudget], floors: dict[str, int]) -> Share:
        """Its share of the free places, with all limits on it. `floors` is common to all shares."""
        each = self.request
        share = Share(each.key, each.demand, weight=each.rules.weight, reserve=each.rules.reserve, have=self.in_use)
        share.own, share.allocated, share.floors = self.own, self.allocated, floors
        share.prepaid = sum(1 for pod in self._snapshot.pods.get(each.key, ()) if not pod.node and not pod.finished)
        own = [budget for budget in budgets if budget.quota.namespace == each.key.namespace]
        share.budgets = [(budget, needed) for budget in own if (needed := needs(budget.quota, each.demand))]
        share.limits = self._limits()
        candidates, groups = self._node_groups.candidates, self._node_groups.groups
        order = sorted(self.open, key=candidates.__getitem__)  # stable: groups are ordered by the names of their nodes
        nodes = chain.from_iterable(groups[index] for index in order)
        share.candidates(node for node in nodes if node.name not in each.excluded_nodes)
        return share

    def _limits(self) -> list[DomainLimit]:
        demand, nodes = self.request.demand, self._snapshot.nodes
        if not demand.apart and not demand.spread:
            return []
        open_nodes = [node for index in self.open for node in self._node_groups.groups[index]]
        places = self.held | {node.name: self.places(node) for node in open_nodes}
        run = self.held | {name: pods.count for name, pods in self.own.items()}
        return limits(demand, nodes.values(), places, run)


def capacities(snapshot: Snapshot, requests: Iterable[CapacityRequest]) -> dict[Key, Capacity]:
    """The capacity of each workload. Allocates free places: `left` of the snapshot shrinks by them."""
    requests = list(requests)
    node_groups = NodeGroups(snapshot, requests)
    found = {each.key: Capacity(snapshot, each, node_groups) for each in requests}
    for capacity in found.values():
        for index in capacity.open:
            node_groups.candidates[index] += 1
    budgets = [QuotaBudget(quota) for quota in snapshot.quotas]
    floors: dict[str, int] = {}
    for capacity in found.values():
        if reserve := capacity.request.rules.reserve:
            floors |= {name: max(reserve, floors.get(name, 0)) for name, held in capacity.held.items() if held}
    shares = [(capacity.share(budgets, floors), *_needed_places(capacity)) for capacity in found.values()]
    # The headroom of all comes first. Else one workload could get all free places, and another would remove a pod to
    # have headroom.
    allocate([(share, headroom) for share, headroom, _ in shares], snapshot.left)
    allocate([(share, further) for share, _, further in shares], snapshot.left)
    for capacity in found.values():
        capacity.finish()
    return found


def _needed_places(capacity: Capacity) -> tuple[int, int]:
    """The places it needs for headroom, and the most further ones it may get."""
    rules, further = capacity.request.rules, capacity.request.further
    headroom = min(rules.headroom, further)
    most = UNLIMITED if rules.most is None else rules.most
    return headroom, max(0, min(further - headroom, most - capacity.in_use))
