"""What a pod's supervisor says of its slots, in its metrics or in its status document."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.escaping import line
from corepod.operator.restarts.deaths import DEATHS, STARTED, count, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_SLOTS = 1024
MOST_CORES = 8192
SAMPLE = re.compile(r'^(corepod_\w+)(?:\{((?:\w+="(?:[^"\\]|\\.)*",?)*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
STATE, PINNED = "corepod_worker_state", "corepod_worker_pinned"
NUMBERS = {  # the metrics of a slot, and what its status calls them
    DEATHS: "restarts",
    "corepod_worker_cpu_seconds_total": "cpu_seconds",
    "corepod_worker_resident_memory_bytes": "rss_bytes",
    "corepod_requests_in_flight": "in_flight",
}


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
        if name == STARTED:
            started = value
        else:
            _take(slots.setdefault(_below(MOST_SLOTS, labels.get("slot")), {}), name, labels, value)
    if not started:
        raise ValueError("these aren't the metrics of corepod")
    return Reading(at, started, tuple(_slot(at, slots[at]) for at in sorted(slots)))


def _samples(text: str) -> Iterator[tuple[str, dict[str, str], float]]:
    """Those that are of use here."""
    for sample in text.splitlines():
        if (match := SAMPLE.match(sample)) and match[1] in (STARTED, STATE, PINNED, *NUMBERS):
            yield match[1], dict(LABEL.findall(match[2] or "")), number(match[3])


def _take(slot: dict[str, Any], name: str, labels: Mapping[str, str], value: float) -> None:
    if name == STATE and value:
        slot["state"] = labels.get("state")
    elif name == PINNED and value:
        slot["core"] = labels.get("core") or None
    elif field := NUMBERS.get(name):
        slot[field] = slot.get(field, 0) + value  # deaths have a sample for each reason


def from_status(document: Mapping[str, Any], at: float) -> Reading:
    """Of what `corepod describe --json` prints. Raises ValueError."""
    try:
        status = document["status"]
        slots = {
            _below(MOST_SLOTS, slot["slot"]): {**slot, "core": slot["core"] if slot["pinned"] else None}
            for slot in status["slots"]
        }
        return Reading(at, number(str(status["started_at"])), tuple(_slot(at, slots[at]) for at in sorted(slots)))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"the status isn't understood ({error!r}): another version of corepod?") from error


def _slot(at: int, found: Mapping[str, Any]) -> Slot:
    """Raises ValueError: whatever runs in a pod may have written these numbers."""
    core = found.get("core")
    restarts, cpu_seconds, rss, in_flight = (number(str(found.get(field) or 0)) for field in NUMBERS.values())
    return Slot(
        slot=at,
        core=None if core is None else _below(MOST_CORES, core),
        state=line(str(found.get("state") or "unknown"))[:20],
        restarts=int(restarts),
        cpu_seconds=cpu_seconds,
        rss_bytes=int(rss) or None,
        in_flight=int(in_flight),
    )


def _below(limit: int, text: object) -> int:
    if (found := count(str(text))) >= limit:
        raise ValueError(f"{found} is more than a pool can have")
    return found


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
