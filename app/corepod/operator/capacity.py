"""For how many pods of each workload the cluster has room: what runs, and its part of what is free."""

from __future__ import annotations

from array import array
from collections import defaultdict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from corepod.operator.allotment import MANY, Claim, Own, deal, fits
from corepod.operator.placement import alike, closed
from corepod.operator.quotas import Budget, needs
from corepod.operator.topology import kept, limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.annotations import Rules
    from corepod.operator.facts import Demand, Key, Node, Pod
    from corepod.operator.topology import Limit
    from corepod.operator.view import View

REFUSED = "its kubelet refused such a pod a short time ago"


@dataclass(frozen=True, slots=True)
class Applicant:
    """A workload that wants room. `further`: the most places it may be dealt, `shunned`: nodes it is dealt none of."""

    key: Key
    demand: Demand
    rules: Rules
    further: int = MANY
    shunned: frozenset[str] = frozenset()


class Ground:
    """The nodes, in groups that all workloads see alike: a reason is found once a group, not once a node."""

    def __init__(self, view: View, demands: set[Demand]) -> None:
        self.groups = alike(view.nodes.values(), demands)
        self.of = {node.name: index for index, group in enumerate(self.groups) for node in group}
        self.asked = [0] * len(self.groups)  # how many workloads may use a group


class Room:
    """What a workload may count on: the places it has, and its part of what is free."""

    def __init__(self, view: View, applicant: Applicant, ground: Ground) -> None:
        self.applicant, self._view, self._ground = applicant, view, ground
        self.held: dict[str, int] = {}  # places it has, by node
        self.dealt: dict[str, int] = {}  # free places it is given, by node
        self.placed = 0  # its pods that are on a node, none that is being deleted
        self.stranded = 0  # those of them on nodes that take no more
        self.leaning = 0  # those of them on an autoscaler's nodes that don't count
        self.own: dict[str, Own] = {}  # its pods on nodes it may use
        self._barred = [closed(applicant.demand, group[0]) for group in ground.groups]
        # Its groups, by number. An array: with a group a node and a hundred workloads a list of numbers takes 20 MB.
        self.open = array(
            "I", (index for index, why in enumerate(self._barred) if not why and not self._foreign(index))
        )
        self._count()
        self.has = sum(self.held.values())
        self.total = self.has

    def excluded(self, node: Node) -> str:
        """Why no pod of it is counted on beyond those that run there; empty for a node it may use."""
        group = self._ground.of[node.name]
        if self._barred[group]:
            return self._barred[group]
        if self._foreign(group):
            return f"belongs to an autoscaler ({node.autoscaler})"
        return REFUSED if node.name in self.applicant.shunned else ""

    @property
    def usable(self) -> bool:
        """Whether there is a node it may use."""
        return bool(self.open)

    @property
    def tempted(self) -> bool:
        """Whether it could use nodes of an autoscaler, which don't count."""
        return any(not why and self._foreign(index) for index, why in enumerate(self._barred))

    @property
    def grows(self) -> bool:
        """Whether nodes come when its pods wait: an autoscaler's are among those it may use, or it was told so."""
        return self.applicant.rules.autoscaler_nodes or any(
            self._ground.groups[index][0].autoscaler for index in self.open
        )

    def places(self, node: Node) -> int:
        """For how many pods a node that it may use has room, those that run there among them."""
        demand, reserve, left = self.applicant.demand, self.applicant.rules.reserve, self._view.left[node.name]
        if own := self.own.get(node.name):
            return own.places(left, demand, reserve)
        return fits(left, demand.requests, reserve)

    def _count(self) -> None:
        own: dict[str, Own] = defaultdict(Own)
        for pod in self._view.pods.get(self.applicant.key, ()):
            if pod.over or not pod.node:
                continue
            group = self._ground.of.get(pod.node)
            self.placed += not pod.deleting
            if group is None:
                # Its node is gone. The Deployment counts it all the same until it is collected, and asked for one pod
                # less it would delete one that works.
                self._strand(pod)
            elif not self._barred[group] and not self._foreign(group):
                # Also one that is being deleted: its place is for the pod that follows it.
                own[pod.node].add(pod.requests)
            elif self._barred[group]:  # nothing follows it there, so a drain moves on
                self._strand(pod)
            else:
                self.leaning += not pod.deleting
        self.own = dict(own)
        for name, mine in own.items():
            self.held[name] = min(mine.count, self.places(self._view.nodes[name]))

    def _strand(self, pod: Pod) -> None:
        self.stranded += not pod.deleting
        self.held[pod.node] = self.held.get(pod.node, 0) + (not pod.deleting)

    def _foreign(self, group: int) -> bool:
        """Whether nodes of a group belong to an autoscaler, and so don't count."""
        return not self.applicant.rules.counts_autoscaled and bool(self._ground.groups[group][0].autoscaler)

    def settle(self) -> None:
        """Everything is dealt."""
        places = self.held | {name: self.held.get(name, 0) + count for name, count in self.dealt.items()}
        self.total = kept(self.applicant.demand, self._view.nodes.values(), places, self.held)

    def claim(self, budgets: Iterable[Budget], floors: dict[str, int]) -> Claim:
        """Its claim to what is free, with all that limits it; `floors` are those of all claims."""
        each = self.applicant
        claim = Claim(each.key, each.demand, weight=each.rules.weight, reserve=each.rules.reserve, have=self.has)
        claim.own, claim.dealt, claim.floors = self.own, self.dealt, floors
        claim.prepaid = sum(1 for pod in self._view.pods.get(each.key, ()) if not pod.node and not pod.over)
        own = [budget for budget in budgets if budget.quota.namespace == each.key.namespace]
        claim.budgets = [(budget, needed) for budget in own if (needed := needs(budget.quota, each.demand))]
        claim.limits = self._limits()
        asked, groups = self._ground.asked, self._ground.groups
        order = sorted(self.open, key=asked.__getitem__)  # groups are in the order of their nodes' names
        nodes = chain.from_iterable(groups[index] for index in order)
        claim.may_use(node for node in nodes if node.name not in each.shunned)
        return claim

    def _limits(self) -> list[Limit]:
        demand, nodes = self.applicant.demand, self._view.nodes
        if not demand.apart and not demand.spread:
            return []
        open_nodes = [node for index in self.open for node in self._ground.groups[index]]
        places = self.held | {node.name: self.places(node) for node in open_nodes}
        run = self.held | {name: mine.count for name, mine in self.own.items()}
        return limits(demand, nodes.values(), places, run)


def rooms(view: View, applicants: Iterable[Applicant]) -> dict[Key, Room]:
    """The room of each. Deals what is free: the view's `left` shrinks by it."""
    applicants = list(applicants)
    ground = Ground(view, {each.demand for each in applicants})
    found = {each.key: Room(view, each, ground) for each in applicants}
    for room in found.values():
        for index in room.open:
            ground.asked[index] += 1
    budgets = [Budget(quota) for quota in view.quotas]
    floors: dict[str, int] = {}
    for room in found.values():
        if reserve := room.applicant.rules.reserve:
            floors |= {name: max(reserve, floors.get(name, 0)) for name, held in room.held.items() if held}
    claims = [(room.claim(budgets, floors), *_wants(room)) for room in found.values()]
    # Everybody's headroom first. Else one could be dealt all of it, and another would remove a pod to have its own.
    deal([(claim, headroom) for claim, headroom, _ in claims], view.left)
    deal([(claim, further) for claim, _, further in claims], view.left)
    for room in found.values():
        room.settle()
    return found


def _wants(room: Room) -> tuple[int, int]:
    """Places for headroom, and further ones."""
    rules, further = room.applicant.rules, room.applicant.further
    headroom = min(rules.headroom, further)
    most = MANY if rules.most is None else rules.most
    return headroom, max(0, min(further - headroom, most - room.has))
