"""Allocates the free places of the nodes, each to one workload at most.

A place is the room for one pod. Places go one after another to the workload that has the fewest in proportion to its
weight (ties: by name), so the result doesn't depend on the order of events or on which operator decides. A workload
gets places on those nodes first that the fewest others may use. Pods that run keep their places.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corepod.operator.model.facts import Amounts, Demand, Key, Node
    from corepod.operator.sizing.quotas import QuotaBudget
    from corepod.operator.sizing.topology import DomainLimit

    Left = dict[str, dict[str, int]]  # of each node, by resource

UNLIMITED = 2**31 - 1  # more pods than any object can have


def fits(left: dict[str, int], requests: Amounts, reserve: int) -> int:
    """How many whole pods fit: the minimum over all requested resources. `reserve` is CPU to leave free."""
    most = UNLIMITED
    for name, much in requests:
        have = left.get(name, 0) - reserve if name == "cpu" else left.get(name, 0)
        if have < much:
            return 0
        if much and have // much < most:
            most = have // much
    return most


class OwnPods:
    """A workload's pods on one node: their number and the sum of their requests."""

    __slots__ = ("count", "requests")

    def __init__(self) -> None:
        self.count = 0
        self.requests: dict[str, int] = {}

    def add(self, requests: Amounts) -> None:
        self.count += 1
        for name, much in requests:
            self.requests[name] = self.requests.get(name, 0) + much

    def places(self, left: dict[str, int], demand: Demand, reserve: int) -> int:
        """How many pods the node would have room for if none of these ran there."""
        together = {name: left.get(name, 0) + self.requests.get(name, 0) for name in {*left, *self.requests}}
        return fits(together, demand.requests, reserve)


class Share:
    """One workload's share of the free places: what it may get, and what it has got."""

    def __init__(self, key: Key, demand: Demand, *, weight: int, reserve: int, have: int) -> None:
        """`reserve` is the CPU to leave on each node, `have` the number of places it holds already."""
        self.key, self.demand, self.weight, self.reserve, self.have = key, demand, weight, reserve, have
        self.own: dict[str, OwnPods] = {}  # on nodes where it may get more
        self.limits: list[DomainLimit] = []
        self.budgets: list[tuple[QuotaBudget, dict[str, int]]] = []
        self.prepaid = 0  # pending pods, which quotas have counted already
        self.floors: dict[str, int] = {}  # by node, common to all shares: the CPU that workloads there want left free
        self.allocated: dict[str, int] = {}
        self._nodes: Iterator[Node] = iter(())
        self._node: Node | None = None

    def candidates(self, nodes: Iterable[Node]) -> None:
        """Set the nodes on which it may get places, in this order."""
        self._nodes = iter(nodes)
        self._node = next(self._nodes, None)

    @property
    def total(self) -> int:
        return self.have + sum(self.allocated.values())

    def offer(self, left: Left, most: int) -> tuple[Node | None, int]:
        """The next node with room, and for how many pods. Full nodes are skipped for good: room only shrinks here."""
        most = self._affordable(most)
        while self._node is not None and most > 0:
            if room := self.room(self._node, left[self._node.name], most):
                return self._node, room
            self._node = next(self._nodes, None)
        return None, 0

    def room(self, node: Node, left: dict[str, int], most: int) -> int:
        # CPU that one workload keeps free isn't for another one, whose pods would leave it too little.
        reserve = max(self.reserve, self.floors.get(node.name, 0))
        room = min(most, fits(left, self.demand.requests, reserve))
        if room and (own := self.own.get(node.name)):
            # Pods of another size may run there, during a rollout that changes requests. Then both limits hold: what is
            # free now, and the number of new pods for which the node would have room without the old ones.
            room = min(room, own.places(left, self.demand, reserve) - own.count)
        for limit in self.limits:
            room = limit.room(node, room)
        return max(0, room)

    def assign(self, node: Node, left: dict[str, int], count: int) -> None:
        for name, much in self.demand.requests:
            left[name] = left.get(name, 0) - much * count
        self.floors[node.name] = max(self.reserve, self.floors.get(node.name, 0))
        for limit in self.limits:
            limit.assign(node, count)
        charged = max(0, count - self.prepaid)
        self.prepaid -= count - charged
        for budget, needs in self.budgets:
            budget.charge(needs, charged)
        self.allocated[node.name] = self.allocated.get(node.name, 0) + count

    def _affordable(self, most: int) -> int:
        further = most - self.prepaid
        if further <= 0:
            return most
        for budget, needs in self.budgets:
            further = budget.room(needs, further)
        return self.prepaid + further


def allocate(shares: Iterable[tuple[Share, int]], left: Left) -> None:
    """Give each share up to so many more places; `left` shrinks by them."""
    turns = [(share.total / share.weight, share.key, most, share) for share, most in shares if most > 0]
    heapify(turns)
    while turns:
        filled, key, most, share = heappop(turns)
        node, room = share.offer(left, most)
        if node is None:
            continue
        count = min(room, _before_next_turn(filled, share, turns))
        share.assign(node, left[node.name], count)
        if most > count:
            heappush(turns, (filled + count / share.weight, key, most - count, share))


def _before_next_turn(filled: float, share: Share, turns: list[tuple[float, Key, int, Share]]) -> int:
    """How many places a share may get before it is the turn of another one."""
    if not turns:
        return UNLIMITED
    ahead = (turns[0][0] - filled) * share.weight
    return int(ahead) + 1 if share.key < turns[0][1] else max(1, ceil(ahead))
