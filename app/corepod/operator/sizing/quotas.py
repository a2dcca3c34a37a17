"""What the ResourceQuotas of a namespace leave for further pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import Demand, Match, Quota


class QuotaBudget:
    """What is left of a quota. The workloads of its namespace share it."""

    __slots__ = ("left", "quota")

    def __init__(self, quota: Quota) -> None:
        used = dict(quota.used)
        self.quota = quota
        self.left = {name: hard - used.get(name, 0) for name, hard in quota.hard}

    def room(self, needs: dict[str, int], most: int) -> int:
        """How many pods with these needs the quota allows, at most `most`."""
        return max(0, min([most, *(self.left[name] // much for name, much in needs.items())]))

    def charge(self, needs: dict[str, int], count: int) -> None:
        for name, much in needs.items():
            self.left[name] -= much * count


def needs(quota: Quota, demand: Demand) -> dict[str, int]:
    """What one such pod uses of a quota, by the quota's names; empty if the quota doesn't apply to it."""
    if not all(_in_scope(scope, demand) for scope in quota.scopes):
        return {}
    found = {name: _need(name, demand) for name, _ in quota.hard}
    return {name: much for name, much in found.items() if much > 0}


def _need(name: str, demand: Demand) -> int:
    if name in ("pods", "count/pods"):
        return 1
    if name.startswith("limits."):
        return dict(demand.limits).get(name.removeprefix("limits."), 0)
    return demand.of(name.removeprefix("requests."))


def _in_scope(scope: Match, demand: Demand) -> bool:
    """Whether a quota's scope includes such a pod, which has no deadline."""
    match scope.key:
        case "NotTerminating":
            return True
        case "BestEffort" | "NotBestEffort":
            return _best_effort(demand) == (scope.key == "BestEffort")
        case "PriorityClass":
            return _priority(scope, demand.priority_class)
        case _:  # Terminating, and scopes for other pods
            return False


def _best_effort(demand: Demand) -> bool:
    amounts: Iterable[tuple[str, int]] = (*demand.requests, *demand.limits)
    return not any(much for name, much in amounts if name in ("cpu", "memory"))


def _priority(scope: Match, name: str) -> bool:
    match scope.operator:
        case "In":
            return name in scope.values
        case "NotIn":
            return name not in scope.values
        case "Exists":
            return bool(name)
        case _:
            return not name
