"""What `make balancing` has measured: ratios, goals, and what the simulation is compared with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from loadtest.bench.balancing.cells import METRICS, Stays, stays
from loadtest.bench.balancing.workload import SERVICES
from loadtest.bench.report import Table
from loadtest.bench.stats import paired

if TYPE_CHECKING:
    from collections.abc import Sequence

BASE = "kube-proxy"
NAMES = {"least": "front, leastconn", "queue": "front, concurrency 1", "pool": "one pool", "ideal": "one ideal queue"}


@dataclass(frozen=True)
class Plan:
    pods: int = 4
    fronts: int = 2
    rounds: int = 5
    seconds: float = 30.0  # of arrivals in a round
    mean: float = 0.1  # seconds that a request takes
    services: tuple[str, ...] = tuple(SERVICES)
    loads: tuple[float, ...] = (0.5, 0.7, 0.85)


@dataclass
class Cell:
    """One kind of load. By system, the stays of each round; requests that failed aren't in them."""

    service: str
    load: float
    stays: dict[str, list[Stays]] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    idle: list[float] = field(default_factory=list)  # share of the machine's CPU in each round

    def add(self, system: str, seconds: Sequence[float], failed: int = 0) -> None:
        self.stays.setdefault(system, []).append(stays(seconds))
        self.failed[system] = self.failed.get(system, 0) + failed

    def ratios(self, system: str, metric: str, base: str = BASE) -> list[float]:
        """Median, least and greatest of the rounds' own ratios."""
        found = paired([one.of(metric) for one in self.stays[system]], [one.of(metric) for one in self.stays[base]])
        return [found.value, found.low, found.high]


def table_of(cells: Sequence[Cell]) -> list[Table]:
    """A table for each metric, over kube-proxy, and the goals."""
    found = []
    for metric in METRICS:
        columns = ["service time, load", "rounds", *NAMES.values(), "CPU idle"]
        title = f"{metric} on the cluster, over {BASE} with the same requests at the same time"
        table = Table(f"front-cluster-{metric}", title, columns)
        for cell in cells:
            ratios = [paired_text(cell.ratios(system, metric)) for system in NAMES]
            idle_text = f"{min(cell.idle):.0%}-{max(cell.idle):.0%}"
            table.add(f"{cell.service}, {cell.load:.0%}", len(cell.idle), *ratios, idle_text)
        found.append(table)
    judge(found[-1], cells)
    failed = {name: sum(cell.failed.get(name, 0) for cell in cells) for name in (BASE, *NAMES)}
    found[-1].notes.append("The ideal queue is simulated and needs no CPU; one pool is the same queue on this machine.")
    found[-1].notes.append("Failed requests: " + ", ".join(f"{name} {count}" for name, count in failed.items()) + ".")
    return found


def paired_text(ratios: list[float]) -> str:
    middle, low, high = ratios
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


def judge(table: Table, cells: Sequence[Cell]) -> None:
    for cell in cells:
        if cell.load == 0.7:
            for system in ("least", "queue"):
                where = f"{cell.service}, {NAMES[system]}: p99 at 70%"
                table.goal(f"{where} over {BASE} at most 0.5", cell.ratios(system, "p99")[0], 0.5)
                for ideal in ("ideal", "pool"):
                    ratio = cell.ratios(system, "p99", ideal)[0]
                    table.goal(f"{where} over {NAMES[ideal]} at most 1.3", ratio, 1.3)


def document(plan: Plan, cells: Sequence[Cell]) -> dict[str, Any]:
    """What `loadtest.bench.balancing.measured` reads, and all that is needed to judge it."""
    return {
        "about": "Ratios to kube-proxy of the same arrivals (make balancing): median, least and greatest of the rounds",
        "pods": plan.pods,
        "fronts": plan.fronts,
        "seconds": plan.seconds,
        "service_seconds": plan.mean,
        "cells": [
            {
                "service": cell.service,
                "load": cell.load,
                "rounds": len(cell.idle),
                "idle": [round(share, 2) for share in cell.idle],
                "failed": cell.failed,
                "ratios": {
                    system: {metric: [round(r, 3) for r in cell.ratios(system, metric)] for metric in METRICS}
                    for system in NAMES
                },
            }
            for cell in cells
        ],
    }
