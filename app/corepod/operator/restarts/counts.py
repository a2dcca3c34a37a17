"""Counts how often a pod's workers have died, across restarts of its container, and turns that into labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from corepod.operator.model.names import LAST_RESTART, RESTARTS, RESTARTS_SEEN, RESTARTS_TOTAL

if TYPE_CHECKING:
    from collections.abc import Mapping

# Names of the supervisor's metrics.
DEATHS = "corepod_worker_restarts_total"
STARTED = "corepod_start_time_seconds"


@dataclass(frozen=True, slots=True)
class DeathCounts:
    """What one supervisor reports: when it started, and the deaths of its workers by reason."""

    started: str
    reasons: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class RestartRecord:
    """What has been published about a pod."""

    total: int = 0
    started: str = ""
    count: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # empty if only `count` is known

    def after(self, counts: DeathCounts) -> tuple[RestartRecord, list[str]]:
        """The record with these counts added, and the reasons of the new deaths, the most frequent first."""
        same = counts.started == self.started
        more = max(0, counts.count - self.count) if same else counts.count
        before = self.reasons if same else {}
        grown = {reason: count - before.get(reason, 0) for reason, count in counts.reasons.items()}
        new = sorted((reason for reason, count in grown.items() if count > 0), key=lambda reason: -grown[reason])
        return RestartRecord(self.total + more, counts.started, counts.count, counts.reasons), new if more else []


def parse(metrics: str) -> DeathCounts:
    """Parse the supervisor's /metrics. Raises ValueError for metrics of another program."""
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
        raise ValueError("the metrics aren't those of a corepod supervisor")
    return DeathCounts(started, reasons)


def record(annotations: Mapping[str, str]) -> RestartRecord:
    """What this or another operator has published before. Annotations that were edited by hand count as none."""
    started, _, count = annotations.get(RESTARTS_SEEN, "").rpartition("/")
    try:
        return RestartRecord(int(annotations[RESTARTS_TOTAL]), started, int(count))
    except (KeyError, ValueError):
        return RestartRecord()


def published(record: RestartRecord, last: str) -> dict[str, str]:
    """The annotations for a record. `last` describes the last death."""
    return {
        RESTARTS_TOTAL: str(record.total),
        RESTARTS_SEEN: f"{record.started}/{record.count}",
        LAST_RESTART: last,
    }


def step(total: int) -> str:
    """The label's value, a range, because network plugins create an identity for each distinct set of labels."""
    if total < 1:
        return "0"
    least = 10 ** (len(str(total)) - 1)
    return f"{least}-{10 * least - 1}"


def labels(total: int) -> dict[str, str]:
    return {RESTARTS: step(total)}
