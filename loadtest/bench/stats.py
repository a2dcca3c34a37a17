"""The arithmetic of the benchmarks: pure functions of numbers."""

from __future__ import annotations

import heapq
import math
import random
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")


@dataclass(frozen=True)
class Ratio:
    """A ratio with the least and the greatest of its rounds."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{_short(self.value)} ({_short(self.low)}-{_short(self.high)})"


def _short(value: float) -> str:
    if not math.isfinite(value):
        return "-"
    return f"{value:.3f}" if 0.9 < value < 1.1 else f"{value:.2f}" if value < 10 else f"{value:.0f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie, between two of them in proportion."""
    if not values:
        return math.nan
    ordered = sorted(values)
    position = (len(ordered) - 1) * share
    below = math.floor(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)


def paired(values: Sequence[float], base: Sequence[float]) -> Ratio:
    """Median of the rounds' own ratios: a drift of the machine touches both sides of a round."""
    ratios = [value / reference for value, reference in zip(values, base, strict=True)]
    return Ratio(median(ratios), min(ratios), max(ratios))


def pooled(rounds: Sequence[Sequence[float]], base: Sequence[Sequence[float]], share: float) -> Ratio:
    """Ratio of the percentiles over all rounds together, with the range of the rounds' own ratios.

    For what has a random phase: a single round's ratio says little there, and the tail needs every value.
    """
    value = percentile([v for one in rounds for v in one], share) / percentile([v for one in base for v in one], share)
    ratios = [percentile(one, share) / percentile(other, share) for one, other in zip(rounds, base, strict=True)]
    return Ratio(value, min(ratios), max(ratios))


def abba(items: Sequence[T], number: int) -> list[T]:
    """The order of round `number`: every second one backwards, so that a drift favours no server."""
    return list(items) if number % 2 == 0 else list(reversed(items))


def arrivals(rate: float, seconds: float, seed: int) -> list[float]:
    """Times of a Poisson process: `rate` a second, for `seconds`; the same seed gives the same times."""
    generator = random.Random(seed)
    times: list[float] = []
    now = generator.expovariate(rate)
    while now < seconds:
        times.append(now)
        now += generator.expovariate(rate)
    return times


def one_queue(times: Sequence[float], service: float, servers: int) -> list[float]:
    """How long each arrival stays where all servers share one queue: the best that can be had."""
    free = [0.0] * servers
    stays = []
    for time in times:
        end = max(time, heapq.heappop(free)) + service
        heapq.heappush(free, end)
        stays.append(end - time)
    return stays


def split_queues(times: Sequence[float], service: float, servers: int, seed: int) -> list[float]:
    """The same where each arrival is sent to a random server's own queue, as SO_REUSEPORT does."""
    generator = random.Random(seed)
    free = [0.0] * servers
    stays = []
    for time in times:
        server = generator.randrange(servers)
        free[server] = max(time, free[server]) + service
        stays.append(free[server] - time)
    return stays
