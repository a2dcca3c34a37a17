"""Counts of durations in buckets of equal ratio: percentiles to 2 %, however many there are, and sums."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

LEAST = 1e-5  # seconds; what is shorter counts as this
RATIO = 1.02  # of a bucket's end to its start
_LOG = math.log(RATIO)


class Histogram:
    """Durations in seconds."""

    def __init__(self, counts: Mapping[int, int] | None = None, longest: float = 0.0) -> None:
        self.counts: dict[int, int] = dict(counts or {})
        self.longest = longest

    def add(self, seconds: float) -> None:
        bucket = max(0, math.ceil(math.log(max(seconds, LEAST) / LEAST) / _LOG))
        self.counts[bucket] = self.counts.get(bucket, 0) + 1
        self.longest = max(self.longest, seconds)

    def merge(self, other: Histogram) -> None:
        for bucket, count in other.counts.items():
            self.counts[bucket] = self.counts.get(bucket, 0) + count
        self.longest = max(self.longest, other.longest)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def percentile(self, share: float) -> float | None:
        """A duration that this share (0 to 1) of them doesn't exceed, at most 2 % too long; None without any."""
        wanted, seen = math.ceil(share * self.total), 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= max(wanted, 1):
                return float(min(LEAST * RATIO**bucket, self.longest))
        return None

    def as_dict(self) -> dict[str, object]:
        return {"longest": self.longest, "counts": {str(bucket): n for bucket, n in sorted(self.counts.items())}}

    @classmethod
    def from_dict(cls, found: Mapping[str, object]) -> Histogram:
        counts, longest = found["counts"], found["longest"]
        assert isinstance(counts, dict)
        assert isinstance(longest, int | float)
        return cls({int(bucket): int(n) for bucket, n in counts.items()}, float(longest))
