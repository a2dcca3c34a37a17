"""Two runs beside each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.hit.exchange import OK

from loadtest.balance import judged
from loadtest.report import wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.run import Run

Number = float | None


def _failed(run: Run) -> float:
    outcomes = run.tally.outcomes
    return (outcomes.total() - outcomes[OK]) / max(outcomes.total(), 1)


def _recovery(run: Run) -> Number:
    known = [event.recovery for event in run.events]
    return None if not known or None in known else max(value for value in known if value is not None)


ROWS: dict[str, tuple[Callable[[Run], Number], Callable[[float], str]]] = {
    "requests a second": (lambda run: run.tally.outcomes.total() / run.duration, lambda v: f"{v:.1f}"),
    "p50": (lambda run: run.tally.judged.percentile(0.5), wording.duration),
    "p95": (lambda run: run.tally.judged.percentile(0.95), wording.duration),
    "p99": (lambda run: run.tally.judged.percentile(0.99), wording.duration),
    "failed": (_failed, lambda v: f"{v:.2%}"),
    "slowest recovery": (_recovery, wording.duration),
    "busiest over idlest": (lambda run: judged(run.tally.workers).busiest_over_idlest, lambda v: f"{v:.2f}"),
}


def comparison(run: Run, earlier: Run) -> str:
    """A table: then, now, and now over then."""
    rows = "".join(_row(name, number(earlier), number(run), show) for name, (number, show) in ROWS.items())
    verdicts = f"<tr><td>verdict</td><td>{earlier.verdict.state}</td><td>{run.verdict.state}</td><td></td></tr>"
    head = "<tr><th></th><th>then</th><th>now</th><th>ratio</th></tr>"
    return f'<div class="wide"><table>{head}{verdicts}{rows}</table></div>'


def _row(name: str, then: Number, now: Number, show: Callable[[float], str]) -> str:
    ratio = "" if then is None or now is None or not then else f"{now / then:.2f}"
    cells = ("-" if value is None else show(value) for value in (then, now))
    return f"<tr><td>{name}</td>{''.join(f'<td>{cell}</td>' for cell in cells)}<td>{ratio}</td></tr>"
