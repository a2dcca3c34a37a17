"""Numbers, names and sentences of a report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.hit.exchange import NOBODY, OK

from loadtest.verdict import FAILED, INVALID, PASSED, VALIDITY

if TYPE_CHECKING:
    from loadtest.recovery import Event
    from loadtest.run import Run
    from loadtest.verdict import Check

CHECKS = {
    "errors": "failed requests, without those in flight on a killed worker",
    "refused": "refused connections",
    "lost": "requests in flight lost with a single worker",
    "p95": "95th percentile of latency",
    "p99": "99th percentile of latency",
    "recovery": "slowest recovery, until the place of the victim served again",
    "answer": "longest wait of a new client after a fault",
    "balance": "busiest worker over idlest, on new connections",
    "rate": "highest rate that met the objective",
    "late": "99th percentile of the lateness of scheduled requests",
    "cpu": "load generator's share of a core in its busiest seconds",
    "requests": "number of requests",
}
MARKS = {PASSED: "✓", FAILED: "✗", INVALID: "!"}


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "not in time"
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def awaited(seconds: float | None, event: Event) -> str:
    """A time after a fault, or for how long it was awaited in vain."""
    if seconds is None:
        return f"not within {duration(event.watched)}" if event.watched else "not injected"
    return duration(seconds)


def count(number: float) -> str:
    """With thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def value(check: Check, number: float | None) -> str:
    if number is None:
        return duration(None) if check.name in ("recovery", "answer") else "none"
    if check.unit == "s":
        return duration(number)
    if check.unit == "%":
        return f"{number:.3%}" if 0 < number < 0.001 else f"{number:.1%}"
    if check.unit:
        return f"{number:.2f} {check.unit}"
    return count(number)


def limit(check: Check) -> str:
    return ("≥ " if check.least else "≤ ") + value(check, check.limit)


def victim(event: Event) -> str:
    """The victim of a fault; empty if there was no particular one."""
    if event.outage:
        return "the whole pool"
    if event.victim == NOBODY:
        return ""
    named = event.victim.slot is not None and event.victim.pid is not None
    return event.victim.place + (f", pid {event.victim.pid}" if named else "")


def sentence(run: Run) -> str:
    """The whole run in one or two sentences."""
    tally, toll = run.tally, run.toll
    total = tally.outcomes.total()
    lost, others = sum(toll.in_flight), sum(toll.others.values())
    text = f"{count(total)} requests in {duration(run.duration)}, {count(tally.outcomes[OK])} answered."
    if run.events:
        text += f" {_plural(len(run.events), 'fault')} cost {_plural(lost, 'request')} in flight on their victims"
        text += f" and {_plural(sum(toll.outage), 'request')} in outages" if sum(toll.outage) else ""
        return f"{text}; {_plural(others, 'other request')} failed."
    return f"{text} {_plural(others, 'request')} failed.".replace(" no ", " No ")


def _plural(number: int, word: str) -> str:
    return f"{count(number) if number else 'no'} {word}{'' if number == 1 else 's'}"


def why(run: Run) -> str:
    """The checks that decided the verdict, if it isn't "passed"."""
    if run.verdict.state == INVALID:
        return f"Invalid, so this run says nothing about the server: {_missed(run, of_generator=True)}"
    return _missed(run, of_generator=False)


def not_judged(run: Run) -> str:
    """What an invalid run has shown of the server beyond its limits."""
    if run.verdict.state != INVALID or not (missed := _missed(run, of_generator=False)):
        return ""
    return f"Not judged: {missed}"


def _missed(run: Run, *, of_generator: bool) -> str:
    bad = [check for check in run.verdict.checks if not check.good and (check.name in VALIDITY) is of_generator]
    return "; ".join(f"{CHECKS[check.name]}: {value(check, check.value)}, limit {limit(check)}" for check in bad)
