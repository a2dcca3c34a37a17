"""The free places of the nodes, each dealt to one workload at most.

Places are dealt one after the other to the workload that has least in proportion to its weight (ties: by name), so
that no order of events and no number of operators changes the result. Each takes nodes first that fewest others may
use. What a workload runs stays its own: dealing is about what nobody uses.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corepod.operator.facts import Amounts, Demand, Key, Node
    from corepod.operator.quotas import Budget
    from corepod.operator.topology import Limit

    Left = dict[str, dict[str, int]]  # of each node, by resource

MANY = 2**31 - 1  # more pods than any object may ask for


def fits(left: dict[str, int], requests: Amounts, reserve: int) -> int:
    """How many whole pods: the least over all resources that are asked for."""
    most = MANY
    for name, much in requests:
        have = left.get(name, 0) - reserve if name == "cpu" else left.get(name, 0)
        if have < much:
            return 0
        if much and have // much < most:
            most = have // much
    return most


class Own:
    """A workload's pods on one node: how many, and their requests together."""

    __slots__ = ("count", "requests")

    def __init__(self) -> None:
        self.count = 0
        self.requests: dict[str, int] = {}

    def add(self, requests: Amounts) -> None:
        self.count += 1
        for name, much in requests:
            self.requests[name] = self.requests.get(name, 0) + much

    def places(self, left: dict[str, int], demand: Demand, reserve: int) -> int:
        """For how many pods a node would have room if none of these ran there."""
        together = {name: left.get(name, 0) + self.requests.get(name, 0) for name in {*left, *self.requests}}
        return fits(together, demand.requests, reserve)


class Claim:
    """What one workload may get, and what it has got."""

    def __init__(self, key: Key, demand: Demand, *, weight: int, reserve: int, have: int) -> None:
        """`reserve` is the CPU to leave on each node, `have` the number of places it holds already."""
        self.key, self.demand, self.weight, self.reserve, self.have = key, demand, weight, reserve, have
        self.own: dict[str, Own] = {}  # on nodes it may be dealt more of
        self.limits: list[Limit] = []
        self.budgets: list[tuple[Budget, dict[str, int]]] = []
        self.prepaid = 0  # pods that wait for a place: quotas have counted them already
        self.floors: dict[str, int] = {}  # of all claims: the CPU that those with a place on a node want left there
        self.dealt: dict[str, int] = {}
        self._nodes: Iterator[Node] = iter(())
        self._node: Node | None = None

    def may_use(self, nodes: Iterable[Node]) -> None:
        """In this order."""
        self._nodes = iter(nodes)
        self._node = next(self._nodes, None)

    @property
    def total(self) -> int:
        return self.have + sum(self.dealt.values())

    def offer(self, left: Left, most: int) -> tuple[Node | None, int]:
        """A node with room, and for how many. A node is passed for good: nobody's room ever grows while dealing."""
        most = self._affordable(most)
        while self._node is not None and most > 0:
            if room := self.room(self._node, left[self._node.name], most):
                return self._node, room
            self._node = next(self._nodes, None)
        return None, 0

    def room(self, node: Node, left: dict[str, int], most: int) -> int:
        # What one keeps free isn't for the next one: its own pods would then be too many there.
        reserve = max(self.reserve, self.floors.get(node.name, 0))
        room = min(most, fits(left, self.demand.requests, reserve))
        if room and (own := self.own.get(node.name)):
            # Pods of another size (a rollout that changes it) run there: neither what is free nor what the node
            # holds in all may be exceeded.
            room = min(room, own.places(left, self.demand, reserve) - own.count)
        for limit in self.limits:
            room = limit.room(node, room)
        return max(0, room)

    def take(self, node: Node, left: dict[str, int], count: int) -> None:
        for name, much in self.demand.requests:
            left[name] = left.get(name, 0) - much * count
        self.floors[node.name] = max(self.reserve, self.floors.get(node.name, 0))
        for limit in self.limits:
            limit.take(node, count)
        charged = max(0, count - self.prepaid)
        self.prepaid -= count - charged
        for budget, needs in self.budgets:
            budget.take(needs, charged)
        self.dealt[node.name] = self.dealt.get(node.name, 0) + count

    def _affordable(self, most: int) -> int:
        further = most - self.prepaid
        if further <= 0:
            return most
        for budget, needs in self.budgets:
            further = budget.room(needs, further)
        return self.prepaid + further


def deal(claims: Iterable[tuple[Claim, int]], left: Left) -> None:
    """Give each claim up to so many more places; `left` shrinks by what is given."""
    turns = [(claim.total / claim.weight, claim.key, most, claim) for claim, most in claims if most > 0]
    heapify(turns)
    while turns:
        share, key, most, claim = heappop(turns)
        node, room = claim.offer(left, most)
        if node is None:
            continue
        count = min(room, _in_a_row(share, claim, turns))
        claim.take(node, left[node.name], count)
        if most > count:
            heappush(turns, (share + count / claim.weight, key, most - count, claim))


def _in_a_row(share: float, claim: Claim, turns: list[tuple[float, Key, int, Claim]]) -> int:
    """How many places one may take before it is another's turn."""
    if not turns:
        return MANY
    ahead = (turns[0][0] - share) * claim.weight
    return int(ahead) + 1 if claim.key < turns[0][1] else max(1, ceil(ahead))
