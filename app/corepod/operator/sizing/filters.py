"""Which nodes the scheduler would consider for a pod, apart from free resources."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from corepod.operator.model.facts import Taint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corepod.operator.model.facts import Demand, Match, Node, Toleration

CORDON = Taint("node.kubernetes.io/unschedulable", "", "NoSchedule")


def why_not_schedulable(demand: Demand, node: Node) -> str:
    """Why no such pod can be scheduled to this node, empty if it can."""
    return why_not_selected(demand, node) or why_not_accepted(demand, node)


def why_not_selected(demand: Demand, node: Node) -> str:
    """Which label that the pods require this node doesn't have, empty if it has all."""
    for key, value in demand.selector:
        if node.labels.get(key) != value:
            return f"not {key}={value}"
    if demand.terms is not None and not any(_term(term, node) for term in demand.terms):
        return "node affinity"
    return ""


def why_not_accepted(demand: Demand, node: Node) -> str:
    """Why this node accepts no such pod even if it has the labels, empty if it does."""
    if node.unschedulable and not _tolerated(CORDON, demand.tolerations):
        return "cordoned"
    if not node.ready:  # checked before its taint, which comes later and may be tolerated for a while
        return "not ready"
    for taint in node.taints:
        if taint.effect != "PreferNoSchedule" and not _tolerated(taint, demand.tolerations):
            return f"taint {taint.key}{'=' if taint.value else ''}{taint.value}:{taint.effect}"
    return ""


def group_alike(nodes: Iterable[Node], demands: Iterable[Demand], labels: Iterable[str] = ()) -> list[list[Node]]:
    """Nodes in groups for which every filter gives the same result for each of these demands, with equal `labels`."""
    keys = sorted({key for demand in demands for key in _keys(demand)} | {(label, False) for label in labels})
    groups: dict[object, list[Node]] = defaultdict(list)
    for node in nodes:
        seen = [_labelled(key, field, node) for key, field in keys]
        groups[(node.taints, node.ready, node.unschedulable, node.autoscaler, *seen)].append(node)
    return list(groups.values())


def _keys(demand: Demand) -> Iterator[tuple[str, bool]]:
    for key, _ in demand.selector:
        yield key, False
    for term in demand.terms or ():
        for match in term:
            yield match.key, match.field


def _labelled(key: str, field: bool, node: Node) -> str | None:
    return (node.name if key == "metadata.name" else None) if field else node.labels.get(key)


def _term(term: tuple[Match, ...], node: Node) -> bool:
    """An empty term matches no node."""
    return bool(term) and all(_holds(match, _labelled(match.key, match.field, node)) for match in term)


def _holds(wanted: Match, value: str | None) -> bool:
    match wanted.operator:
        case "In":
            return value in wanted.values
        case "NotIn":
            return value not in wanted.values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt":
            return _compares(wanted, value)
        case _:  # an operator of a later version: better one pod less than one that can't be scheduled
            return False


def _compares(wanted: Match, value: str | None) -> bool:
    try:
        label, bound = int(value or ""), int(wanted.values[0])
    except (ValueError, IndexError):
        return False
    return label > bound if wanted.operator == "Gt" else label < bound


def _tolerated(taint: Taint, tolerations: tuple[Toleration, ...]) -> bool:
    return any(_tolerates(each, taint) for each in tolerations)


def _tolerates(each: Toleration, taint: Taint) -> bool:
    if each.effect and each.effect != taint.effect:
        return False
    if each.key and each.key != taint.key:
        return False
    match each.operator:
        case "Exists":
            return True
        case "Equal":
            return bool(each.key) and each.value == taint.value
        case _:  # Gt and Lt are new: better one node less than a pod that can't be scheduled
            return False
