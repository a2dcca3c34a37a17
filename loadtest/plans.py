"""Shapes of load as plain functions of time, and the search for the highest rate that still meets its objective."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FINE = 1.1  # the search stops when the gap between two rates is below this ratio
MOST_STEPS = 16

# Shares of a run's time, and of its users from then on.
STAGES = ((0.0, 1 / 3), (0.25, 2 / 3), (0.5, 1.0), (0.75, 1 / 3))
SPIKE = ((0.0, 0.2), (0.4, 1.0), (0.6, 0.2))
STEADY = ((0.0, 1.0),)
SHAPES = {"steady": STEADY, "stages": STAGES, "spike": SPIKE, "soak": STEADY}
RAMP = "ramp"


def users_at(shape: str, elapsed: float, users: int, duration: float) -> int | None:
    """How many users there should be; None when the run is over. A duration of 0 has no end."""
    if duration and elapsed >= duration:
        return None
    share = elapsed / duration if duration else 0.0
    wanted = [part for begins, part in SHAPES[shape] if begins <= share][-1]
    return max(1, round(users * wanted))


@dataclass(frozen=True)
class Step:
    """Some seconds of a ramp at one rate (requests a second), whether they met the objective, and if not why."""

    rate: float
    met: bool
    why: str = ""


def highest(steps: Sequence[Step]) -> float:
    """The highest rate below the lowest that failed: a step that was lucky above it doesn't count. 0 without one."""
    ceiling = min((step.rate for step in steps if not step.met), default=math.inf)
    return max((step.rate for step in steps if step.met and step.rate < ceiling), default=0.0)


def next_rate(steps: Sequence[Step], first: float) -> float | None:
    """Twice as much until it fails (half as much until it doesn't), then the middle; None when that's known closely."""
    if not steps:
        return first
    met, failed = highest(steps), min((step.rate for step in steps if not step.met), default=math.inf)
    if len(steps) >= MOST_STEPS or (met and failed / met <= FINE):
        return None
    if math.isinf(failed):
        return met * 2
    if not met:
        return failed / 2 if failed > 1 else None
    return math.sqrt(met * failed)


def search(first: float, works: Callable[[float], bool]) -> tuple[float, list[Step]]:
    """The whole search against a function instead of a server."""
    steps: list[Step] = []
    while (rate := next_rate(steps, first)) is not None:
        steps.append(Step(rate, works(rate)))
    return highest(steps), steps


def busiest(samples: Sequence[tuple[float, float]], window: float = 5.0) -> float | None:
    """The greatest share of a core over `window` seconds, of samples (time, CPU seconds used); None without any."""
    shares, first = [], 0
    for at, used in samples[1:]:
        while at - samples[first + 1][0] >= window:
            first += 1
        begun, before = samples[first]
        if at - begun >= window:
            shares.append((used - before) / (at - begun))
    if not shares and len(samples) > 1 and (took := samples[-1][0] - samples[0][0]) > 0:
        shares = [(samples[-1][1] - samples[0][1]) / took]
    return max(shares, default=None)
