"""Explains a number of pods node by node: what the node has, what others use of it, and how many pods fit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.model import autoscalers
from corepod.operator.model.names import AUTOSCALED, DOMAIN
from corepod.operator.sizing.allocation import fits
from corepod.operator.sizing.annotations import AUTOSCALED_BY_DEFAULT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.model.facts import Node
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.capacity import Capacity


POOLS_SHOWN = 5


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node from the point of view of one workload. CPU in thousandths of a core."""

    node: str
    allocatable: int
    others: int  # requested by all other pods, and free places allocated to other workloads
    reserve: int
    running: int  # pods of the workload that keep their places
    free: int  # free places allocated to it
    lost: int  # CPU that stays unused because no whole pod fits into it
    short_of: str  # the resource that one more pod would lack; empty if none
    excluded: str  # why it gets no further pods, empty if it can

    @property
    def fits(self) -> int:
        return self.running + self.free


def rows(snapshot: Snapshot, capacity: Capacity) -> Iterator[NodeRow]:
    """One row for each node, by name. `snapshot` and `capacity` are those of a decision."""
    for node in snapshot.nodes.values():
        yield _row(node, snapshot.left[node.name], capacity)


def hints(snapshot: Snapshot, capacity: Capacity) -> Iterator[str]:
    """Advice on what nodes don't show. It is no Event, because most who get it have nothing to change."""
    rules = capacity.request.rules
    if rules.counts_autoscaled or rules.autoscaled != AUTOSCALED_BY_DEFAULT:
        return
    usable = [node for node in snapshot.nodes.values() if not capacity.why_not_usable(node)]
    pools = Counter(autoscalers.pool(node.labels) for node in usable if AUTOSCALED not in node.labels)
    del pools[""]
    if pools:
        named = ", ".join(f"{pool} ({count})" for pool, count in sorted(pools.items())[:POOLS_SHOWN])
        rest = f" and {len(pools) - POOLS_SHOWN} more" if len(pools) > POOLS_SHOWN else ""
        yield (
            f"the nodes of these pools count, but don't show whether an autoscaler resizes the pool: {named}{rest}; "
            f"name those that it resizes in {DOMAIN}autoscaled-nodes, or set that to never"
        )


def _row(node: Node, left: dict[str, int], capacity: Capacity) -> NodeRow:
    demand, reserve = capacity.request.demand, capacity.request.rules.reserve
    running, free = capacity.held.get(node.name, 0), capacity.allocated.get(node.name, 0)
    excluded = capacity.why_not_usable(node)
    cpu = demand.of("cpu")
    pods = capacity.own.get(node.name)
    own = free * cpu + (pods.requests.get("cpu", 0) if pods else running * cpu)
    rest = max(0, left.get("cpu", 0) - reserve) - fits(left, demand.requests, reserve) * cpu
    return NodeRow(
        node=node.name,
        allocatable=node.of("cpu"),
        others=node.of("cpu") - left.get("cpu", 0) - own,
        reserve=0 if excluded else reserve,
        running=running,
        free=free,
        lost=0 if excluded else rest,
        short_of="" if excluded else _short_of(left, demand.requests, reserve),
        excluded=excluded,
    )


def _short_of(left: dict[str, int], requests: tuple[tuple[str, int], ...], reserve: int) -> str:
    """The resource that one more pod would lack."""
    for name, much in requests:
        if much and left.get(name, 0) - (reserve if name == "cpu" else 0) < much:
            return name
    return ""
