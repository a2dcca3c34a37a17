"""The simulation beside what a cluster has shown: four pods, the same short rounds, the same ratios."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from loadtest.bench.balancing.cells import METRICS, stays
from loadtest.bench.balancing.policies import BY_NAME, RANDOM
from loadtest.bench.balancing.simulate import simulate
from loadtest.bench.balancing.workload import workload
from loadtest.bench.stats import percentile

FILE = Path(__file__).with_name("four_pods.json")
# What serves each of the measured systems' requests in the simulation, by the number of fronts. A pool of several slots
# is one queue, too.
SYSTEMS = {
    1: {"least": "least", "queue": "one queue", "pool": "one queue"},
    2: {"least": "least, 2", "queue": "queue, 2", "pool": "one queue"},
    3: {"least": "least, 3", "queue": "queue, 3", "pool": "one queue"},
}
BAND = 0.05, 0.95  # of the simulated rounds: between these a round lies nine times out of ten
TOLERANCE = 0.1  # of the ratio, for what isn't simulated: connecting, the server's own time, a machine that is busy


@dataclass(frozen=True)
class Compared:
    """A measured ratio to kube-proxy (the median of its rounds), and the band in which simulated rounds lie."""

    service: str
    load: float
    system: str
    metric: str
    measured: float
    low: float
    middle: float
    high: float

    @property
    def outside(self) -> float:
        """How far the measured ratio is from the band: 0 inside of it."""
        return max(0.0, self.low - self.measured, self.measured - self.high)

    @property
    def agrees(self) -> bool:
        return self.outside <= TOLERANCE

    def __str__(self) -> str:
        where = f"{self.service}, {self.load:.0%}, {self.system}, {self.metric}"
        return f"{where}: measured {self.measured:.2f}, simulated {self.low:.2f} to {self.high:.2f}"


def stored(path: Path = FILE) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def ratios(
    service: str, load: float, pods: int, fronts: int, seconds: float, seed: int
) -> dict[tuple[str, str], float]:
    """By system and metric, over random pods that got the same requests. `seconds` are mean service times."""
    work = workload(service, load, pods, round(load * pods * seconds), seed)
    base = stays(simulate(RANDOM, work, pods, seed)[0])
    found: dict[tuple[str, str], float] = {}
    for system, policy in SYSTEMS[fronts].items():
        here = stays(simulate(BY_NAME[policy], work, pods, seed)[0])
        found |= {(system, metric): here.of(metric) / base.of(metric) for metric in METRICS}
    return found


def compare(document: dict[str, Any], rounds: int) -> list[Compared]:
    """Everything that was measured beside so many simulated rounds of the same length."""
    seconds = document["seconds"] / document["service_seconds"]
    found = []
    for cell in document["cells"]:
        simulated = defaultdict(list)
        for seed in range(rounds):
            found_here = ratios(cell["service"], cell["load"], document["pods"], document["fronts"], seconds, seed)
            for key, ratio in found_here.items():
                simulated[key].append(ratio)
        for (system, metric), values in simulated.items():
            if system in cell["ratios"]:
                low, high = (percentile(values, share) for share in BAND)
                measured = cell["ratios"][system][metric][0]
                found.append(
                    Compared(cell["service"], cell["load"], system, metric, measured, low, median(values), high)
                )
    return found
