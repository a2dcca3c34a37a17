"""What a pod's supervisor says of its slots, in its metrics or in its status document."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.escaping import line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_SLOTS = 1024
MOST_CORES = 8192
SAMPLE = re.compile(r'^(corepod_\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
PREFIX = "corepod_worker_"


class Slot(NamedTuple):
    """`core` is None where the worker isn't pinned."""

    slot: int
    core: int | None
    state: str
    restarts: int
    cpu_seconds: float
    rss_bytes: int | None
    in_flight: int


class Reading(NamedTuple):
    """At one time of this machine's clock (time.monotonic()); `started` tells one supervisor from the next."""

    at: float
    started: float
    slots: tuple[Slot, ...]


def from_metrics(text: str, at: float) -> Reading:
    """Raises ValueError for metrics of another program, and for numbers that no supervisor writes."""
    started, slots = 0.0, dict[int, dict[str, Any]]()
    for name, labels, value in _samples(text):
        if name == "corepod_start_time_seconds":
            started = value
        if "slot" not in labels:
            continue
        if len(slots) > MOST_SLOTS:
            raise ValueError("more slots than a pool can have")
        _take(slots.setdefault(int(labels["slot"]), {"restarts": 0}), name, labels, value)
    if not started:
        raise ValueError("these aren't the metrics of corepod")
    return Reading(at, started, tuple(_slot(number, slots[number]) for number in sorted(slots)))


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    for sample in text.splitlines():
        if match := SAMPLE.match(sample):
            value = float(match[3])
            if not math.isfinite(value):
                raise ValueError(f"{match[1]} isn't finite")
            yield match[1], dict(LABEL.findall(match[2] or "")), value


def _take(slot: dict[str, Any], name: str, labels: Mapping[str, str], value: float) -> None:
    if name == f"{PREFIX}state" and value:
        slot["state"] = labels.get("state", "")
    elif name == f"{PREFIX}pinned" and value and labels.get("core"):
        slot["core"] = int(labels["core"])
    elif name == f"{PREFIX}restarts_total":
        slot["restarts"] += int(value)
    elif name == f"{PREFIX}cpu_seconds_total":
        slot["cpu_seconds"] = value
    elif name == f"{PREFIX}resident_memory_bytes":
        slot["rss_bytes"] = int(value)
    elif name == "corepod_requests_in_flight":
        slot["in_flight"] = int(value)


def from_status(status: Mapping[str, Any], at: float) -> Reading:
    """Of the document that `corepod describe --json` has in it. Raises ValueError."""
    try:
        slots = tuple(
            _slot(int(slot["slot"]), {**slot, "core": slot["core"] if slot["pinned"] else None})
            for slot in status["slots"]
        )
        return Reading(at, float(status["started_at"]), slots)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the status isn't understood ({error!r}): another version of corepod?") from error


def _slot(number: int, found: Mapping[str, Any]) -> Slot:
    core, rss = found.get("core"), found.get("rss_bytes")
    if core is not None and not 0 <= int(core) < MOST_CORES:
        raise ValueError(f"there is no core {core}")
    return Slot(
        slot=number,
        core=None if core is None else int(core),
        state=line(str(found.get("state") or "unknown"))[:20],
        restarts=int(found.get("restarts") or 0),
        cpu_seconds=float(found.get("cpu_seconds") or 0.0),
        rss_bytes=None if rss is None else int(rss),
        in_flight=int(found.get("in_flight") or 0),
    )


def shares(before: Reading | None, now: Reading) -> dict[int, float]:
    """The share of a core that each slot has used between the readings; empty where they aren't of one supervisor."""
    if before is None or before.started != now.started or now.at <= before.at:
        return {}
    old = {slot.slot: slot.cpu_seconds for slot in before.slots}
    return {
        slot.slot: max(0.0, slot.cpu_seconds - old[slot.slot]) / (now.at - before.at)
        for slot in now.slots
        if slot.slot in old
    }
