"""The modes `linear` and `ladder`: replicas in proportion to cores and nodes, with the parameters and the results of
cluster-proportional-autoscaler, to make moving from it easy.

They don't consider whether the pods can be scheduled. The mode `fit` does.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

Steps = tuple[tuple[int, int], ...]
MOST = 2**31 - 1  # replicas are a 32-bit number


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of the considered nodes: of those that are ready and not cordoned, and of all. Cores are rounded up."""

    nodes: int
    cores: int
    all_nodes: int
    all_cores: int


@dataclass(frozen=True, slots=True)
class Linear:
    cores_per_replica: float = 0.0  # 0: cores are ignored
    nodes_per_replica: float = 0.0
    least: int = 1
    most: int = 0  # 0: no limit
    prevent_single_point_failure: bool = False
    include_unschedulable_nodes: bool = False

    def replicas(self, totals: Totals) -> int:
        nodes, cores = _counted(totals, self.include_unschedulable_nodes)
        by_nodes = self._of(nodes, self.nodes_per_replica)
        if self.prevent_single_point_failure and nodes > 1:
            by_nodes = max(by_nodes, 2)  # even above `most`, as there
        return max(self._of(cores, self.cores_per_replica), by_nodes)

    def _of(self, count: int, per_replica: float) -> int:
        if not per_replica:
            return 1
        wanted = math.ceil(min(count / per_replica, MOST))
        return max(self.least, min(wanted, self.most or MOST))


@dataclass(frozen=True, slots=True)
class Ladder:
    cores_to_replicas: Steps = ()  # (threshold, replicas), rising
    nodes_to_replicas: Steps = ()
    include_unschedulable_nodes: bool = False

    def replicas(self, totals: Totals) -> int:
        nodes, cores = _counted(totals, self.include_unschedulable_nodes)
        return max(_step(self.cores_to_replicas, cores), _step(self.nodes_to_replicas, nodes))


def linear(text: str) -> Linear:
    """Parse the JSON of cluster-proportional-autoscaler's ConfigMap. Raises ValueError with a phrase."""
    given = _object(text)
    found = Linear(
        cores_per_replica=_number(given, "coresPerReplica"),
        nodes_per_replica=_number(given, "nodesPerReplica"),
        least=_whole(given.pop("min", 0), "min") or 1,
        most=_whole(given.pop("max", 0), "max"),
        prevent_single_point_failure=_flag(given, "preventSinglePointFailure"),
        include_unschedulable_nodes=_flag(given, "includeUnschedulableNodes"),
    )
    _nothing_else(given)
    if not found.cores_per_replica and not found.nodes_per_replica:
        raise ValueError("neither coresPerReplica nor nodesPerReplica is above 0")
    if found.most and found.most < found.least:
        raise ValueError(f"max {found.most} is below min {found.least}")
    return found


def ladder(text: str) -> Ladder:
    """Parse the JSON of cluster-proportional-autoscaler's ConfigMap. Raises ValueError with a phrase."""
    given = _object(text)
    found = Ladder(
        cores_to_replicas=_steps(given, "coresToReplicas"),
        nodes_to_replicas=_steps(given, "nodesToReplicas"),
        include_unschedulable_nodes=_flag(given, "includeUnschedulableNodes"),
    )
    _nothing_else(given)
    if not found.cores_to_replicas and not found.nodes_to_replicas:
        raise ValueError("neither coresToReplicas nor nodesToReplicas has a step")
    return found


def _counted(totals: Totals, everything: bool) -> tuple[int, int]:
    return (totals.all_nodes, totals.all_cores) if everything else (totals.nodes, totals.cores)


def _step(steps: Steps, count: int) -> int:
    """The replicas of the last step that `count` has reached; below the first threshold, of the first step."""
    if not steps:
        return 0
    return steps[max(0, bisect_right(steps, count, key=lambda step: step[0]) - 1)][1]


def _object(text: str) -> dict[str, Any]:
    try:
        given = json.loads(text)
    except ValueError as error:
        raise ValueError(f"isn't valid JSON: {error}") from error
    except RecursionError:
        raise ValueError("isn't valid JSON: it is nested too deeply") from None
    if not isinstance(given, dict):
        raise ValueError("isn't a JSON object")
    return given


def _nothing_else(given: dict[str, Any]) -> None:
    if given:
        raise ValueError(f"{', '.join(sorted(given))}: unknown parameter")


def _number(given: dict[str, Any], name: str) -> float:
    value = given.pop(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ValueError(f"{name} {value!r} isn't a number of at least 0")
    return float(min(value, MOST))


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST:
        raise ValueError(f"{name} {value!r} isn't a whole number from 0 to {MOST}")
    return value


def _flag(given: dict[str, Any], name: str) -> bool:
    value = given.pop(name, False)
    if not isinstance(value, bool):
        raise ValueError(f"{name} {value!r} is neither true nor false")
    return value


def _steps(given: dict[str, Any], name: str) -> Steps:
    value = given.pop(name, None) or []
    if not isinstance(value, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in value):
        raise ValueError(f"{name} isn't a list of pairs such as [[1, 1], [512, 5]]")
    return tuple(sorted((_whole(pair[0], name), _whole(pair[1], name)) for pair in value))
