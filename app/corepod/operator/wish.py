"""The number of pods a workload should have now, if nothing spoke against changing it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.placement import misses
from corepod.operator.proportional import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.annotations import Rules
    from corepod.operator.capacity import Room
    from corepod.operator.facts import Demand, Node
    from corepod.operator.setbacks import Setbacks


def fit(room: Room, rules: Rules, *, current: int) -> int:
    """What runs and what is free, less the headroom."""
    number = room.total - headroom(room, rules)
    if room.stranded or room.leaning:
        # Where pods run on nodes that take no more of them, a cordon would delete pods for a headroom that it took,
        # and pods on an autoscaler's nodes would be deleted for being there. They never raise the number, either:
        # each rollout could leave one more of them.
        number = max(number, min(current, room.total + room.leaning))
    return clamped(number, rules)


def after_setback(number: int, room: Room, setbacks: Setbacks, *, current: int, now: float) -> int:
    """After pods were refused: none is asked for beyond those that run, and none of them is given up for headroom."""
    if not setbacks.why(now):
        return number
    running = min(current, room.has + room.leaning)
    return running if setbacks.further(now) == 0 else max(number, running)


def headroom(room: Room, rules: Rules) -> int:
    """Places left free for rollouts. One pod comes first: none is left free where there is room for one only."""
    return max(0, min(rules.headroom, room.total - 1))


def bounds(room: Room, rules: Rules) -> tuple[int, int]:
    """minReplicas and maxReplicas of a HorizontalPodAutoscaler.

    Where nodes come when pods wait for them, one pod more than fits: that is what makes a node come. It is for load
    that the HorizontalPodAutoscaler asks for it, so nodes go when load goes.
    """
    most = clamped(room.total + 1 if room.grows else room.total - headroom(room, rules), rules)
    return min(rules.least, most), most


def clamped(number: int, rules: Rules) -> int:
    number = max(number, rules.least)
    return number if rules.most is None else min(number, rules.most)


def proportional(totals: Totals, rules: Rules) -> int:
    """By the modes linear and ladder. A ladder may say 0, so the least number holds only where it was asked for."""
    parameters = rules.linear if rules.mode == "linear" else rules.ladder
    if parameters is None:
        raise ValueError(f"the mode {rules.mode} without its parameters is a fault that should have been found")
    number = parameters.replicas(totals)
    return clamped(number, rules) if rules.least > 1 or number else 0


def totals(nodes: Iterable[Node], demand: Demand, rules: Rules) -> Totals:
    """Nodes with the labels that the pods ask for, whatever their taints."""
    counted = [node for node in nodes if not misses(demand, node)]
    counted = [node for node in counted if rules.counts_autoscaled or not node.autoscaler]
    ready = [node for node in counted if node.ready and not node.unschedulable]
    return Totals(len(ready), _cores(ready), len(counted), _cores(counted))


def _cores(nodes: Iterable[Node]) -> int:
    return -(-sum(node.of("cpu") for node in nodes) // 1000)
