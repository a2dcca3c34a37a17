"""How often a pod's workers have died, over all its containers' lives, as numbers, annotations and a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corepod.operator.read import DOMAIN, RESTARTS

if TYPE_CHECKING:
    from collections.abc import Mapping

TOTAL = f"{DOMAIN}worker-restarts-total"
LAST = f"{DOMAIN}last-worker-restart"
# Which of the supervisor's counts TOTAL has in it already: the supervisor's start, and its count then.
SEEN = f"{DOMAIN}worker-restarts-seen"

DEATHS = "corepod_worker_restarts_total"
STARTED = "corepod_start_time_seconds"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one supervisor says: when it started, and the deaths of its workers by reason."""

    started: str
    reasons: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class Record:
    """What has been published of a pod."""

    total: int = 0
    started: str = ""
    count: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # empty where only `count` is known

    def after(self, reading: Reading) -> tuple[Record, list[str]]:
        """With a reading added, and the reasons of the deaths that are new in it."""
        same = reading.started == self.started
        more = max(0, reading.count - self.count) if same else reading.count
        before = self.reasons if same else {}
        grown = {reason: count - before.get(reason, 0) for reason, count in reading.reasons.items()}
        new = sorted((reason for reason, count in grown.items() if count > 0), key=lambda reason: -grown[reason])
        return Record(self.total + more, reading.started, reading.count, reading.reasons), new if more else []


def parse(metrics: str) -> Reading:
    """From the supervisor's /metrics. Raises ValueError where they are somebody else's."""
    started = ""
    reasons: dict[str, int] = {}
    for line in metrics.splitlines():
        if line.startswith(f"{STARTED} "):
            started = line.rpartition(" ")[2]
        elif line.startswith(DEATHS + "{"):
            labels, _, value = line.rpartition(" ")
            reason = labels.partition('reason="')[2].rpartition('"')[0]
            reasons[reason] = reasons.get(reason, 0) + int(float(value))
    if not started:
        raise ValueError("these are no metrics of a corepod supervisor")
    return Reading(started, reasons)


def record(annotations: Mapping[str, str]) -> Record:
    """What an operator, this one or another, has published before. What people made of it counts as nothing."""
    started, _, count = annotations.get(SEEN, "").rpartition("/")
    try:
        return Record(int(annotations[TOTAL]), started, int(count))
    except (KeyError, ValueError):
        return Record()


def published(record: Record, last: str) -> dict[str, str]:
    """The annotations for a record, with words about the last death."""
    return {TOTAL: str(record.total), SEEN: f"{record.started}/{record.count}", LAST: last}


def step(total: int) -> str:
    """The label's value. In steps, because network plugins make an identity of each set of labels."""
    if total < 1:
        return "0"
    least = 10 ** (len(str(total)) - 1)
    return f"{least}-{10 * least - 1}"


def labels(total: int) -> dict[str, str]:
    return {RESTARTS: step(total)}
