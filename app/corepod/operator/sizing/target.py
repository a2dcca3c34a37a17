"""The number of pods that a workload should have by what is known now, before stabilization."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.sizing.filters import why_not_selected
from corepod.operator.sizing.proportional import Totals

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import Demand, Node
    from corepod.operator.sizing.annotations import Rules
    from corepod.operator.sizing.backoff import PlacementBackoff
    from corepod.operator.sizing.capacity import Capacity


def fit(capacity: Capacity, rules: Rules, *, current: int) -> int:
    """The room for pods, less the headroom."""
    number = capacity.total - headroom(capacity, rules)
    if capacity.stranded or capacity.on_autoscaled:
        # Some pods run on nodes that accept no more of them. Without this a cordon would delete pods to restore the
        # headroom that it took, and pods on an autoscaler's nodes would be deleted for being there. Such pods never
        # raise the number, either: each rollout could leave one more of them.
        number = max(number, min(current, capacity.total + capacity.on_autoscaled))
    return clamped(number, rules)


def after_refusal(number: int, capacity: Capacity, backoff: PlacementBackoff, *, current: int, now: float) -> int:
    """The number after pods were refused: none beyond those that run, and none of these is removed for headroom."""
    if not backoff.reason(now):
        return number
    running = min(current, capacity.in_use + capacity.on_autoscaled)
    return running if backoff.further(now) == 0 else max(number, running)


def headroom(capacity: Capacity, rules: Rules) -> int:
    """Places left free for rollouts: none if there is room for one pod only, because that pod comes first."""
    return max(0, min(rules.headroom, capacity.total - 1))


def bounds(capacity: Capacity, rules: Rules) -> tuple[int, int]:
    """minReplicas and maxReplicas of a HorizontalPodAutoscaler.

    Where an autoscaler adds nodes for pending pods, maxReplicas is one more than fits, for that pod makes a node come.
    The HorizontalPodAutoscaler creates it only under load, so nodes go again when the load goes.
    """
    most = clamped(
        capacity.total + 1 if capacity.node_autoscaling else capacity.total - headroom(capacity, rules), rules
    )
    return min(rules.least, most), most


def clamped(number: int, rules: Rules) -> int:
    number = max(number, rules.least)
    return number if rules.most is None else min(number, rules.most)


def proportional(totals: Totals, rules: Rules) -> int:
    """For the modes linear and ladder. A ladder may say 0, so a minimum of 1 doesn't apply unless it is set higher."""
    parameters = rules.linear if rules.mode == "linear" else rules.ladder
    if parameters is None:
        raise ValueError(f"the mode {rules.mode} has no parameters, which reading the annotations should have reported")
    number = parameters.replicas(totals)
    return clamped(number, rules) if rules.least > 1 or number else 0


def totals(nodes: Iterable[Node], demand: Demand, rules: Rules) -> Totals:
    """Totals of the nodes that have the labels the pods ask for, whatever their taints."""
    counted = [node for node in nodes if not why_not_selected(demand, node)]
    counted = [node for node in counted if rules.counts_autoscaled or not rules.autoscaled.mark(node)]
    ready = [node for node in counted if node.ready and not node.unschedulable]
    return Totals(len(ready), _cores(ready), len(counted), _cores(counted))


def _cores(nodes: Iterable[Node]) -> int:
    return -(-sum(node.of("cpu") for node in nodes) // 1000)
