"""One combination of service times, pods and load, served in every way."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import mean
from typing import TYPE_CHECKING

from loadtest.bench.balancing.policies import POLICIES
from loadtest.bench.balancing.simulate import simulate
from loadtest.bench.balancing.workload import SERVICES, workload

if TYPE_CHECKING:
    from collections.abc import Sequence

PODS, LOADS = (10, 100, 1000), (0.5, 0.7, 0.85)
METRICS = ("mean", "p50", "p99")
FIRST = 1 / 3  # share of the requests that is left out, because the queues begin empty
LEAST_TIME = 1500  # mean service times that a simulation lasts at least, for the queues to fill


@dataclass(frozen=True)
class Case:
    service: str
    pods: int
    load: float

    def __str__(self) -> str:
        return f"{self.service}, {self.pods} pods, {self.load:.0%}"


CASES = tuple(Case(service, pods, load) for service in SERVICES for pods in PODS for load in LOADS)


@dataclass(frozen=True)
class Stays:
    """What there is to say of how long requests stayed, in mean service times."""

    mean: float
    p50: float
    p99: float

    def of(self, metric: str) -> float:
        return float(getattr(self, metric))


def stays(found: Sequence[float]) -> Stays:
    ordered = sorted(found)
    return Stays(mean(ordered), _at(ordered, 0.5), _at(ordered, 0.99))


def _at(ordered: Sequence[float], share: float) -> float:
    return ordered[math.ceil(share * len(ordered)) - 1]


def measure(case: Case, requests: int, seed: int) -> dict[str, Stays]:
    """By policy, each of which gets the same requests."""
    count = max(requests, LEAST_TIME * case.pods)
    work = workload(case.service, case.load, case.pods, count, seed)
    first = round(FIRST * count)
    return {policy.name: stays(simulate(policy, work, case.pods, seed)[0][first:]) for policy in POLICIES}
