"""What two looks at a pool say together: rates, times, shares of cores."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.scoreboard import LATENCY_BOUNDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    Status = Mapping[str, Any]
    Slot = Mapping[str, Any]

FAILED = (0, 5)  # of `status`: no answer, 5xx


class Look(NamedTuple):
    """A pool's status document and the machine's cores at one time (seconds, of a clock that is never set).

    `cores` has for each core how long it was used, and how long it was there, in ticks of the kernel.
    """

    at: float
    status: Status
    cores: Mapping[int, tuple[int, int]] = {}


class Between(NamedTuple):
    """A time that is known as well as the histogram knows it, in seconds; without `most` it may be of any length."""

    least: float
    most: float | None


class Row(NamedTuple):
    """A slot. What takes two looks is None after the first one, and times are where no request has ended.

    `rate` and `failed` are requests a second, `own` and `others` shares of the slot's core: `others` is what else runs
    there, None where the kernel doesn't say.
    """

    slot: Slot
    rate: float | None
    failed: float | None
    p50: Between | None
    p99: Between | None
    own: float
    others: float | None


class Figures(NamedTuple):
    """All slots, and the same of all of them together. `throttled` is the share of time that a quota took away."""

    rows: list[Row]
    rate: float | None
    failed: float | None
    p50: Between | None
    p99: Between | None
    in_flight: int
    restarts: int
    memory: int
    throttled: float | None


def identity(status: Status) -> tuple[int, float]:
    """What another pool doesn't share with this one, nor the same one after its next start."""
    return status["pid"], status["started_at"]


def figures(before: Look | None, now: Look) -> Figures:
    """`before` may be of another pool, or of this one before it was started anew: it counts for nothing then."""
    if before is None or identity(before.status) != identity(now.status) or now.at <= before.at:
        before = None
    seconds = now.at - before.at if before else 0.0
    old = {slot["slot"]: slot for slot in before.status["slots"]} if before else {}
    slots = now.status["slots"]
    changes = [_change(old.get(slot["slot"]), slot) for slot in slots]
    owns = [_own(old.get(slot["slot"]), slot, seconds) if before else float(slot["busy"]) for slot in slots]
    used = _used(before.cores, now.cores) if before else {}
    rows = [
        _row(slot, change, own, used.get(slot["core"]), seconds)
        for slot, change, own in zip(slots, changes, owns, strict=True)
    ]
    latency = [sum(counts) for counts in zip(*(change.latency for change in changes), strict=True)]
    throttled = _throttled(before, now)
    return Figures(
        rows,
        rate=_rate(sum(change.requests for change in changes), seconds),
        failed=_rate(sum(change.failed for change in changes), seconds),
        p50=quantile(latency, 0.5) if before else None,
        p99=quantile(latency, 0.99) if before else None,
        in_flight=sum(slot["in_flight"] for slot in slots),
        restarts=sum(slot["restarts"] for slot in slots),
        memory=sum(slot["rss_bytes"] or 0 for slot in slots),
        throttled=throttled,
    )


def quantile(counts: Sequence[int], share: float) -> Between | None:
    """The bucket that this share of the requests doesn't exceed; None where there are no requests."""
    rank, seen = max(1, math.ceil(share * sum(counts))), 0
    bounds = (0.0, *LATENCY_BOUNDS, None)
    for number, count in enumerate(counts):
        seen += count
        if seen >= rank:
            return Between(bounds[number] or 0.0, bounds[number + 1])
    return None


class _Change(NamedTuple):
    requests: int
    failed: int
    latency: list[int]


def _change(before: Slot | None, now: Slot) -> _Change:
    """What has been counted between the looks. A slot of the same number that was made anew has counted from zero."""
    counts = _counts(now)
    if before is not None and all(old <= new for old, new in zip(_counts(before), counts, strict=True)):
        counts = [new - old for old, new in zip(_counts(before), counts, strict=True)]
    requests, failed, *latency = counts
    return _Change(requests, failed, latency)


def _counts(slot: Slot) -> list[int]:
    return [slot["requests"], sum(slot["status"][index] for index in FAILED), *slot["latency"]]


def _own(before: Slot | None, now: Slot, seconds: float) -> float:
    since = before["cpu_seconds"] if before and before["cpu_seconds"] <= now["cpu_seconds"] else 0.0
    return float(now["cpu_seconds"] - since) / seconds


def _row(slot: Slot, change: _Change, own: float, used: float | None, seconds: float) -> Row:
    return Row(
        slot,
        rate=_rate(change.requests, seconds),
        failed=_rate(change.failed, seconds),
        p50=quantile(change.latency, 0.5) if seconds else None,
        p99=quantile(change.latency, 0.99) if seconds else None,
        own=own,
        others=None if used is None else max(0.0, used - own),
    )


def _rate(count: int, seconds: float) -> float | None:
    return count / seconds if seconds else None


def _used(before: Mapping[int, tuple[int, int]], now: Mapping[int, tuple[int, int]]) -> dict[int, float]:
    """The share of time that each core was used."""
    shares = {}
    for core in before.keys() & now.keys():
        used, there = now[core][0] - before[core][0], now[core][1] - before[core][1]
        if there > 0:
            shares[core] = min(max(0.0, used / there), 1.0)
    return shares


def _throttled(before: Look | None, now: Look) -> float | None:
    was, is_now = before and before.status["throttled_seconds"], now.status["throttled_seconds"]
    if before is None or was is None or is_now is None:
        return None
    return max(0.0, float(is_now - was) / (now.at - before.at))


def cores(text: str) -> dict[int, tuple[int, int]]:
    """The cores in /proc/stat; those that it doesn't list, as in a sandbox, are missing."""
    found = {}
    for line in text.splitlines():
        name, *fields = line.split()
        if name.startswith("cpu") and name[3:].isdecimal() and len(fields) >= 5 and all(map(str.isdecimal, fields)):
            # Guests' time, from the ninth on, is part of the user's.
            ticks = [int(field) for field in fields[:8]]
            idle = ticks[3] + ticks[4]  # and waiting for a disk, which takes no core
            found[int(name[3:])] = (sum(ticks) - idle, sum(ticks))
    return found
