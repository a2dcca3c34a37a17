"""Passed, failed or invalid: the thresholds of a run, and the exit code for each verdict."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import OK, REFUSED

from loadtest.balance import judged
from loadtest.recovery import toll

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.recovery import Event
    from loadtest.tally import Tally

PASSED, FAILED, INVALID = "passed", "failed", "invalid"
EXIT_CODES = {PASSED: 0, FAILED: 1, INVALID: 4}  # 2 and 3 are Locust's own and the shell's


def _limit(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True)
class Thresholds:
    """The most that a run may show. Times in seconds; a value below zero switches the check off."""

    errors: float = _limit(0, "share of requests that may fail, without those in flight on a killed worker")
    refused: float = _limit(0, "number of connections that may be refused")
    lost: float = _limit(-1, "number of requests in flight that may be lost with one worker")
    p95: float = _limit(1.0, "95th percentile of latency, in seconds from the time at which the request was due")
    p99: float = _limit(3.0, "99th percentile of latency, in seconds")
    recovery: float = _limit(
        2.0, "seconds until the place of the victim serves again, without the duration of the fault itself"
    )
    answer: float = _limit(2.0, "seconds from a fault until a new client gets a 200")
    balance: float = _limit(
        2.0, "responses of the busiest worker divided by those of the idlest, on new connections if there are any"
    )
    rate: float = _limit(1.0, "the lowest rate that a ramp has to reach, in requests a second")
    late: float = _limit(
        0.1,
        "99th percentile of the lateness of scheduled requests, in seconds; above it, the run is invalid",
    )
    cpu: float = _limit(
        0.9, "share of a core that the load generator may use in its busiest seconds; above it, the run is invalid"
    )

    @classmethod
    def help(cls) -> dict[str, tuple[float, str]]:
        return {limit.name: (getattr(cls, limit.name), limit.metadata["help"]) for limit in fields(cls)}


VALIDITY = ("late", "cpu", "requests")


@dataclass(frozen=True)
class Check:
    """A number and its upper limit (with `least`, its lower one). `value` is None if it could not be measured."""

    name: str
    value: float | None
    limit: float
    unit: str = ""
    least: bool = False

    @property
    def good(self) -> bool:
        if self.value is None:
            return False
        return self.value >= self.limit if self.least else self.value <= self.limit


@dataclass(frozen=True)
class Verdict:
    state: str
    checks: list[Check]

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.state]

    def as_dict(self) -> dict[str, Any]:
        return {"state": self.state, "checks": [{**vars(check), "good": check.good} for check in self.checks]}


def judge(
    tally: Tally,
    events: Sequence[Event],
    limits: Thresholds,
    *,
    cpu: float | None = None,
    workers: int = 0,
    highest: float | None = None,
) -> Verdict:
    """`cpu`: the generator's share of a core in its busiest seconds; `workers`: how many should have answered;
    `highest`: the rate that a ramp has found.

    A run is invalid if its own generator was the bottleneck: it says nothing about the server then.
    """
    checks = [
        check
        for check in [*_requests(tally, events, limits), *_events(events, limits), *_generator(tally, limits, cpu)]
        if check.limit >= 0
    ]
    shares = judged(tally.workers, workers)
    if limits.balance >= 0 and len(shares.counts) > 1:
        checks.append(Check("balance", _finite(shares.busiest_over_idlest), limits.balance, "x"))
    if highest is not None:
        # A ramp goes beyond what can be served, on purpose: only what it found is judged.
        checks = [Check("rate", highest, limits.rate, "/s", least=True)]
    if not tally.outcomes.total():
        checks.append(Check("requests", None, 0))
    return Verdict(_state(checks), checks)


def _state(checks: Sequence[Check]) -> str:
    if any(not check.good for check in checks if check.name in VALIDITY):
        return INVALID
    return PASSED if all(check.good for check in checks) else FAILED


def _requests(tally: Tally, events: Sequence[Event], limits: Thresholds) -> list[Check]:
    costs, outcomes, latency = toll(tally.failures, events), tally.outcomes, tally.judged
    failed = outcomes.total() - outcomes[OK]
    others = failed - sum(costs.in_flight) - sum(costs.outage)
    excused = sum(costs.outage)  # may be refusals: they are the outage's own
    refused = costs.others[REFUSED] if excused else outcomes[REFUSED]
    lost = max(costs.in_flight, default=0)
    return [
        Check("errors", others / max(outcomes.total(), 1), limits.errors, "%"),
        Check("refused", refused, limits.refused),
        Check("lost", lost, limits.lost),
        Check("p95", latency.percentile(0.95), limits.p95, "s"),
        Check("p99", latency.percentile(0.99), limits.p99, "s"),
    ]


def _events(events: Sequence[Event], limits: Thresholds) -> list[Check]:
    if not events:
        return []
    return [
        Check("recovery", _worst([event.recovery for event in events]), limits.recovery, "s"),
        Check("answer", _worst([event.answer for event in events]), limits.answer, "s"),
    ]


def _generator(tally: Tally, limits: Thresholds, cpu: float | None) -> list[Check]:
    found = []
    if tally.late.total:
        found.append(Check("late", tally.late.percentile(0.99), limits.late, "s"))
    if cpu is not None:
        found.append(Check("cpu", cpu, limits.cpu, "%"))
    return found


def _worst(values: Sequence[float | None]) -> float | None:
    """The greatest; None if one of them never ended."""
    known = [value for value in values if value is not None]
    return max(known) if known and len(known) == len(values) else None


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def from_dict(found: Mapping[str, Any]) -> Verdict:
    return Verdict(
        found["state"], [Check(c["name"], c["value"], c["limit"], c["unit"], c["least"]) for c in found["checks"]]
    )
