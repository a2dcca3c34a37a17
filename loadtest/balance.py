"""How evenly the answers were shared out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from corepod.hit.exchange import Worker

    from loadtest.tally import Presence

SHOWN_BY: dict[str, Callable[[Worker], str]] = {
    "worker": lambda worker: worker.place,
    "core": lambda worker: "" if worker.core is None else f"{worker.node or ''} core {worker.core}".strip(),
    "pod": lambda worker: worker.pod or "",
    "node": lambda worker: worker.node or "",
}


@dataclass(frozen=True)
class Balance:
    """Answers by what gave them, the largest share first."""

    counts: dict[str, int]

    @property
    def shares(self) -> dict[str, float]:
        total = sum(self.counts.values())
        return {name: count / total for name, count in self.counts.items()}

    @property
    def busiest_over_idlest(self) -> float:
        """1 where all got the same; infinite where one got nothing, and no number where there is nobody."""
        if not self.counts:
            return math.nan
        least = min(self.counts.values())
        return max(self.counts.values()) / least if least else math.inf

    @property
    def gini(self) -> float:
        return gini(list(self.counts.values()))


def balance(
    workers: Mapping[Worker, Presence], by: str = "worker", expected: int = 0, *, fresh: bool = False
) -> Balance:
    """By worker (a slot, whatever processes were in it), core, pod or node, as far as the answers told.

    Of `expected` ones those that never answered count as idle. `fresh`: requests on connections of their own only.
    """
    counts: dict[str, int] = {}
    for worker, seen in workers.items():
        if name := SHOWN_BY[by](worker):
            counts[name] = counts.get(name, 0) + (seen.fresh if fresh else seen.answers)
    counts |= {f"silent {number + 1}": 0 for number in range(expected - len(counts))}
    return Balance(dict(sorted(counts.items(), key=lambda pair: -pair[1])))


def judged(workers: Mapping[Worker, Presence], expected: int = 0) -> Balance:
    """What a run is judged by: requests on new connections, which whoever is free can take, where there are any.

    A kept connection stays with its worker. When one dies, its clients go to those that live, and don't come back.
    """
    return balance(workers, expected=expected, fresh=any(seen.fresh for seen in workers.values()))


def gini(counts: Sequence[int]) -> float:
    """0 where all have the same, towards 1 where one has everything."""
    total, n = sum(counts), len(counts)
    if not total:
        return 0.0
    weighted = sum((place + 1) * count for place, count in enumerate(sorted(counts)))
    return 2 * weighted / (n * total) - (n + 1) / n
