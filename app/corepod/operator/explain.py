"""Rows that show how a number came about: node by node, what is there, what it is less, and what fits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.allotment import fits

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.capacity import Room
    from corepod.operator.facts import Node
    from corepod.operator.view import View


@dataclass(frozen=True, slots=True)
class Row:
    """One node, as one workload sees it. CPU in thousandths of a core."""

    node: str
    allocatable: int
    others: int  # requested by all other pods, and free places dealt to other workloads
    reserve: int
    running: int  # pods of the workload that keep their place
    free: int  # further places that are its own
    lost: int  # CPU that nobody uses because no whole pod fits into it
    short_of: str  # the resource that is used up first, cpu or another; empty where nothing is
    excluded: str  # why no further pod is counted on, empty where one could be

    @property
    def fits(self) -> int:
        return self.running + self.free


def rows(view: View, room: Room) -> Iterator[Row]:
    """One for each node, by name. `view` and `room` are those of a decision that was made."""
    for node in view.nodes.values():
        yield _row(node, view.left[node.name], room)


def _row(node: Node, left: dict[str, int], room: Room) -> Row:
    demand, reserve = room.applicant.demand, room.applicant.rules.reserve
    running, free = room.held.get(node.name, 0), room.dealt.get(node.name, 0)
    excluded = room.excluded(node)
    cpu = demand.of("cpu")
    pods = room.own.get(node.name)
    own = free * cpu + (pods.requests.get("cpu", 0) if pods else running * cpu)
    rest = max(0, left.get("cpu", 0) - reserve) - fits(left, demand.requests, reserve) * cpu
    return Row(
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
    """What one more pod would not get."""
    for name, much in requests:
        if much and left.get(name, 0) - (reserve if name == "cpu" else 0) < much:
            return name
    return ""
