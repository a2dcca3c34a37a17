"""How evenly the responses were shared out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from corepod.hit.exchange import Responder

    from loadtest.tally import Presence

SHOWN_BY: dict[str, Callable[[Responder], str]] = {
    "worker": lambda worker: worker.place,
    "core": lambda worker: "" if worker.core is None else f"{worker.node or ''} core {worker.core}".strip(),
    "pod": lambda worker: worker.pod or "",
    "node": lambda worker: worker.node or "",
}


@dataclass(frozen=True)
class Balance:
    """Number of responses by worker, core, pod or node, the largest first."""

    counts: dict[str, int]

    @property
    def shares(self) -> dict[str, float]:
        total = sum(self.counts.values())
        return {name: count / total for name, count in self.counts.items()}

    @property
    def busiest_over_idlest(self) -> float:
        return busiest_over_idlest(list(self.counts.values()))

    @property
    def gini(self) -> float:
        return gini(list(self.counts.values()))


def balance(
    workers: Mapping[Responder, Presence], by: str = "worker", expected: int = 0, *, fresh: bool = False
) -> Balance:
    """Count by worker (a slot, whatever processes were in it), core, pod or node, as far as the responses name them.

    If fewer than `expected` answered, the others count as idle. `fresh`: only requests on connections of their own.
    """
    counts: dict[str, int] = {}
    for worker, seen in workers.items():
        if name := SHOWN_BY[by](worker):
            counts[name] = counts.get(name, 0) + (seen.fresh if fresh else seen.answers)
    counts |= {f"silent {number + 1}": 0 for number in range(expected - len(counts))}
    return Balance(dict(sorted(counts.items(), key=lambda pair: -pair[1])))


def judged(workers: Mapping[Responder, Presence], expected: int = 0) -> Balance:
    """The balance that a run is judged by: of requests on new connections if there are any.

    Any free worker can accept a new connection. A kept one stays with its worker; when that worker dies, its clients
    connect to other workers and stay there.
    """
    return balance(workers, expected=expected, fresh=any(seen.fresh for seen in workers.values()))


def busiest_over_idlest(counts: Sequence[int], expected: int = 0) -> float:
    """1 if all got the same, infinite if one of them (or of the `expected` ones) got nothing, NaN if there is none."""
    every = [*counts, *[0] * (expected - len(counts))]
    if not every:
        return math.nan
    return max(every) / min(every) if min(every) else math.inf


def gini(counts: Sequence[int]) -> float:
    """The Gini coefficient: 0 if all counts are equal, near 1 if one has everything."""
    total, n = sum(counts), len(counts)
    if not total:
        return 0.0
    weighted = sum((place + 1) * count for place, count in enumerate(sorted(counts)))
    return 2 * weighted / (n * total) - (n + 1) / n
