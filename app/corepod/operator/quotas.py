"""What a namespace's ResourceQuotas leave for further pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.facts import Demand, Match, Quota


class Budget:
    """What a quota still has; workloads of its namespace share it."""

    __slots__ = ("left", "quota")

    def __init__(self, quota: Quota) -> None:
        used = dict(quota.used)
        self.quota = quota
        self.left = {name: hard - used.get(name, 0) for name, hard in quota.hard}

    def room(self, needs: dict[str, int], most: int) -> int:
        """For how many pods of these needs there is something left, up to `most`."""
        return max(0, min([most, *(self.left[name] // much for name, much in needs.items())]))

    def take(self, needs: dict[str, int], count: int) -> None:
        for name, much in needs.items():
            self.left[name] -= much * count


def needs(quota: Quota, demand: Demand) -> dict[str, int]:
    """What one such pod takes from a quota, by the quota's names; empty where the quota isn't about it."""
    if not all(_inside(scope, demand) for scope in quota.scopes):
        return {}
    found = {name: _need(name, demand) for name, _ in quota.hard}
    return {name: much for name, much in found.items() if much > 0}


def _need(name: str, demand: Demand) -> int:
    if name in ("pods", "count/pods"):
        return 1
    if name.startswith("limits."):
        return dict(demand.limits).get(name.removeprefix("limits."), 0)
    return demand.of(name.removeprefix("requests."))


def _inside(scope: Match, demand: Demand) -> bool:
    """Whether such a pod, which is to run for ever, is in a quota's scope."""
    match scope.key:
        case "NotTerminating":
            return True
        case "BestEffort" | "NotBestEffort":
            return _best_effort(demand) == (scope.key == "BestEffort")
        case "PriorityClass":
            return _priority(scope, demand.priority_class)
        case _:  # Terminating and what isn't about pods like these
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
