"""Numbers and names as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.hit.exchange import NOBODY, OK

from loadtest.verdict import FAILED, INVALID, PASSED

if TYPE_CHECKING:
    from loadtest.recovery import Event
    from loadtest.run import Run
    from loadtest.verdict import Check

CHECKS = {
    "errors": "failed requests, without those in flight on a killed worker",
    "refused": "refused connections",
    "lost": "requests in flight lost with one worker",
    "p95": "95 % of requests took at most",
    "p99": "99 % of requests took at most",
    "recovery": "slowest recovery: strike to its place serving again",
    "answer": "longest wait of a new client after a strike",
    "balance": "busiest worker over idlest, on new connections",
    "rate": "highest rate that met the objective",
    "late": "99 % of scheduled requests were sent late by at most",
    "cpu": "busiest seconds of the load generator, of a core",
    "requests": "requests at all",
}
MARKS = {PASSED: "✓", FAILED: "✗", INVALID: "!"}


def duration(seconds: float | None) -> str:
    if seconds is None:
        return "never seen"
    if seconds < 0.0995:
        return f"{seconds * 1000:.3g} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"


def count(number: float) -> str:
    """With thin spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\u202f")


def value(check: Check, number: float | None) -> str:
    if number is None:
        return "none" if check.name in ("requests", "balance") else duration(None)
    if check.unit == "s":
        return duration(number)
    if check.unit == "%":
        return f"{number:.3%}" if 0 < number < 0.001 else f"{number:.1%}"
    if check.unit:
        return f"{number:.2f} {check.unit}"
    return count(number)


def limit(check: Check) -> str:
    return ("≥ " if check.least else "≤ ") + value(check, check.limit)


def whom(event: Event) -> str:
    """Who was hit, and nothing where it was nobody in particular."""
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
        text += f" {_plural(len(run.events), 'strike')} cost {_plural(lost, 'request')} in flight on what they hit"
        text += f", and {_plural(sum(toll.outage), 'request')} in outages" if sum(toll.outage) else ""
        return f"{text}; {_plural(others, 'other request')} failed."
    return f"{text} {_plural(others, 'request')} failed.".replace(" no ", " No ")


def _plural(number: int, word: str) -> str:
    return f"{count(number) if number else 'no'} {word}{'' if number == 1 else 's'}"


def why(run: Run) -> str:
    """What spoke against it, nothing where all is well."""
    bad = [check for check in run.verdict.checks if not check.good]
    return "; ".join(f"{CHECKS[check.name]}: {value(check, check.value)}, not {limit(check)}" for check in bad)
