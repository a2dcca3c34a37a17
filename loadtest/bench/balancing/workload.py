"""What has to be served: when requests arrive, and how long each of them takes."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

HEAVY_SHARE, HEAVY_TIMES = 0.01, 50.0  # so many requests take so many times as long as the others
_SHORT = 1.0 / (1.0 - HEAVY_SHARE + HEAVY_SHARE * HEAVY_TIMES)  # what the others take, for a mean of 1


def _fixed(generator: random.Random) -> float:
    return 1.0


def _exponential(generator: random.Random) -> float:
    return generator.expovariate(1.0)


def _heavy(generator: random.Random) -> float:
    return _SHORT * (HEAVY_TIMES if generator.random() < HEAVY_SHARE else 1.0)


SERVICES: dict[str, Callable[[random.Random], float]] = {"fixed": _fixed, "exp": _exponential, "heavy": _heavy}
# The mean of the square, which the formula for one queue with one server needs.
SECOND_MOMENTS = {
    "fixed": 1.0,
    "exp": 2.0,
    "heavy": _SHORT**2 * (1.0 - HEAVY_SHARE + HEAVY_SHARE * HEAVY_TIMES**2),
}


@dataclass(frozen=True)
class Workload:
    """Requests in the order of their arrival. Times are in units of the mean service time."""

    times: list[float]
    services: list[float]

    def __len__(self) -> int:
        return len(self.times)


def workload(service: str, load: float, pods: int, requests: int, seed: int) -> Workload:
    """Open-loop Poisson arrivals that keep each of `pods` busy for the share `load` of the time; the same seed gives
    the same requests, whoever serves them."""
    generator = random.Random(seed)
    take, rate, now = SERVICES[service], load * pods, 0.0
    times, services = [], []
    for _ in range(requests):
        now += generator.expovariate(rate)
        times.append(now)
        services.append(take(generator))
    return Workload(times, services)
