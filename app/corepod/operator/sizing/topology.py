"""How many pods the domains of a topology (zones, hosts) may have: anti-affinity and spread constraints."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from corepod.operator.sizing.filters import why_not_accepted, why_not_selected

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from corepod.operator.model.facts import Demand, Node, Spread


class DomainLimit:
    """How many more pods each domain of one topology key may have."""

    __slots__ = ("elsewhere", "key", "left")

    def __init__(self, key: str, left: dict[str, int], elsewhere: int | None) -> None:
        """`elsewhere` applies to nodes without the key: None for no limit."""
        self.key, self.left, self.elsewhere = key, left, elsewhere

    def room(self, node: Node, most: int) -> int:
        domain = node.labels.get(self.key)
        if domain is None:
            return most if self.elsewhere is None else min(most, self.elsewhere)
        return min(most, self.left.get(domain, 0))

    def assign(self, node: Node, count: int) -> None:
        domain = node.labels.get(self.key)
        if domain is not None:
            self.left[domain] -= count


def limits(
    demand: Demand, nodes: Iterable[Node], places: Mapping[str, int], own: Mapping[str, int]
) -> list[DomainLimit]:
    """Limits for pods with this demand.

    `places` says how many of them each node has room for, including those that run there (`own`).
    """
    if not demand.apart and not demand.spread:
        return []
    nodes = list(nodes)
    found = []
    for key in demand.apart:
        run = _by_domain(key, nodes, own)
        found.append(DomainLimit(key, {domain: max(0, 1 - count) for domain, count in run.items()}, None))
    for spread in demand.spread:
        caps = _spread(demand, spread, nodes, places)
        run = _by_domain(spread.key, nodes, own)
        found.append(DomainLimit(spread.key, {domain: max(0, cap - run[domain]) for domain, cap in caps.items()}, 0))
    return found


def usable_places(demand: Demand, nodes: Iterable[Node], places: Mapping[str, int], own: Mapping[str, int]) -> int:
    """How many of these places can be used at the same time. Running pods always count."""
    lost = 0
    nodes = list(nodes) if demand.spread else []
    for spread in demand.spread:
        caps, run = _spread(demand, spread, nodes, places), _by_domain(spread.key, nodes, own)
        have = _by_domain(spread.key, nodes, places)
        over = {domain: have[domain] - max(run[domain], caps.get(domain, have[domain])) for domain in have}
        lost = max(lost, sum(max(0, count) for count in over.values()))
    return sum(places.values()) - lost


def _spread(demand: Demand, spread: Spread, nodes: list[Node], places: Mapping[str, int]) -> dict[str, int]:
    """The maximum number of pods of each domain.

    A domain may have as many pods as the emptiest one plus the skew, so the one with the least room decides, once it is
    full. Cordoned and tainted nodes count as domains, unless the constraint says otherwise.
    """
    have = _by_domain(spread.key, nodes, places)
    keys = [each.key for each in demand.spread]
    counted = {
        node.labels[spread.key]
        for node in nodes
        if all(key in node.labels for key in keys)
        and not (spread.honors_affinity and why_not_selected(demand, node))
        and not (spread.honors_taints and why_not_accepted(demand, node))
    }
    least = min((have[domain] for domain in counted), default=0)
    if len(counted) < spread.domains:
        least = 0
    return {domain: min(count, least + spread.skew) for domain, count in have.items()}


def _by_domain(key: str, nodes: Iterable[Node], counts: Mapping[str, int]) -> Counter[str]:
    found: Counter[str] = Counter()
    for node in nodes:
        if (domain := node.labels.get(key)) is not None:
            found[domain] += counts.get(node.name, 0)
    return found
