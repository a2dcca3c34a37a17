"""Counts how often a pod's workers have died, across restarts of its container, and turns that into labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from corepod.operator.model.names import LAST_RESTART, RESTARTS, RESTARTS_SEEN, RESTARTS_TOTAL
from corepod.operator.options import EXACT, OFF, STEPS
from corepod.operator.restarts.deaths import LARGEST, count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.operator.restarts.deaths import DeathCounts

SHOWN = 5  # reasons in one annotation or Event


@dataclass(frozen=True, slots=True)
class RestartRecord:
    """What has been published about a pod."""

    total: int = 0
    started: str = ""
    count: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)  # empty if only `count` is known

    def after(self, counts: DeathCounts) -> tuple[RestartRecord, list[str]]:
        """The record with these counts added, and the reasons of the new deaths, the most frequent first.

        A supervisor's counts never fall. If they do, nothing is new until they exceed what they were.
        """
        same = counts.started == self.started
        before, known = (self.reasons, self.count) if same else ({}, 0)
        more = max(0, counts.count - known)
        grown = {reason: count - before.get(reason, 0) for reason, count in counts.reasons.items()}
        new = sorted((reason for reason, count in grown.items() if count > 0), key=lambda reason: -grown[reason])
        total = min(LARGEST, self.total + more)
        return RestartRecord(total, counts.started, max(known, counts.count), counts.reasons), new if more else []


def record(annotations: Mapping[str, str]) -> RestartRecord:
    """What this or another operator has published before. Annotations that were edited by hand count as none."""
    started, _, seen = annotations.get(RESTARTS_SEEN, "").rpartition("/")
    try:
        return RestartRecord(count(annotations[RESTARTS_TOTAL]), started, count(seen))
    except (KeyError, ValueError):
        return RestartRecord()


def continued(known: RestartRecord | None, shown: RestartRecord) -> RestartRecord:
    """What a pod's annotations show, with the reasons, which only the operator knows that has written them."""
    same = known is not None and (known.total, known.started, known.count) == (shown.total, shown.started, shown.count)
    return known if known is not None and same else shown


def published(record: RestartRecord, last: str) -> dict[str, str]:
    """The annotations for a record. `last` describes the last death."""
    return {
        RESTARTS_TOTAL: str(record.total),
        RESTARTS_SEEN: f"{record.started}/{record.count}",
        LAST_RESTART: last,
    }


def listed(reasons: list[str]) -> str:
    """Reasons as text, of which the first ones are named."""
    more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
    return ", ".join(reason or "unknown" for reason in reasons[:SHOWN]) + more


def step(total: int) -> str:
    """The range of a total: 0, 1, 2-4, 5-9, 10-19, 20-49, 50-99 and so on."""
    if total < 1:
        return "0"
    decade: int = 10 ** (len(str(total)) - 1)
    bounds = (decade, 2 * decade, 5 * decade, 10 * decade)
    least, beyond = next((low, high) for low, high in pairwise(bounds) if low <= total < high)
    return f"{least}" if beyond - least == 1 else f"{least}-{beyond - 1}"


def labels(total: int, mode: str = STEPS) -> dict[str, str]:
    """The labels for a total. Network plugins create an identity for each distinct set of labels, so that a new value
    may cost them work on every node: STEPS changes it seldom, OFF never.
    """
    if mode == OFF:
        return {}
    return {RESTARTS: str(total) if mode == EXACT else step(total)}
