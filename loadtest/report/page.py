"""The page: the verdict first, then the details. One file without scripts that fetches nothing."""

from __future__ import annotations

import math
import time
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.hit.exchange import FAILURES, OK

from loadtest.balance import SHOWN_BY, balance, judged
from loadtest.report import wording
from loadtest.report.charts import KINDS, latency_chart, share_bars, throughput_chart
from loadtest.report.compare import comparison

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.run import Run

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")


def render(run: Run, earlier: Run | None = None) -> str:
    """The whole document."""
    parts = [
        _verdict(run),
        _tiles(run),
        _section("Latency over time", latency_chart(run), _key("p50", "p95", "p99"), LATENCY_NOTE),
        _section("Requests a second", throughput_chart(run), _key("ok", "own", "bad")),
        _faults(run),
        _ramp(run),
        _section("Balance: which worker answered", _balance(run)),
        '<div class="two">',
        _section("Thresholds", _checks(run)),
        _section("Failures by class", _failures(run)),
        "</div>",
        _section("By route", _routes(run)),
        _section("Compared with an earlier run", comparison(run, earlier)) if earlier else "",
    ]
    when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(run.started))
    about = ", ".join(f"{key} {value}" for key, value in run.about.items() if value)
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Load test {run.verdict.state}</title><style>{STYLE}</style><main>"
        f"<h1>Load test<small>{escape(when)}, {escape(about)}</small></h1>{''.join(parts)}</main></html>\n"
    )


LATENCY_NOTE = (
    "Each numbered line is a fault, and its band is the time until the place of the victim served again. "
    "The lines show scheduled requests, timed from when they were due; the table by route has all requests."
)


def _verdict(run: Run) -> str:
    state, text = run.verdict.state, f"<p>{escape(wording.sentence(run))}</p>"
    for kind, words in (("bad", wording.why(run)), ("soft", wording.not_judged(run))):
        text += f'<p class="{kind}">{escape(words)}</p>' if words else ""
    return f'<section class="verdict {state}"><b>{wording.MARKS[state]} {state}</b><div>{text}</div></section>'


def _tiles(run: Run) -> str:
    tally, toll, latency = run.tally, run.toll, run.tally.judged
    shares = judged(tally.workers, run.workers)
    tiles = [
        (f"{tally.outcomes.total() / run.duration:.1f}", "requests a second"),
        *(
            (wording.duration(latency.percentile(share)), name)
            for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))
        ),
        (wording.count(sum(toll.others.values())), "other failures"),
        (wording.count(sum(toll.in_flight)), "lost in flight"),
        (_ratio(shares.busiest_over_idlest), "busiest over idlest"),
    ]
    if run.events:
        slowest = [event.recovery for event in run.events]
        worst = None if None in slowest else max(filter(None, slowest), default=0.0)
        tiles.append((wording.duration(worst), "slowest recovery"))
    if run.highest is not None:
        tiles.insert(0, (f"{run.highest:.0f}/s", "highest rate that met the objective"))
    return (
        '<div class="tiles">' + "".join(f"<div><b>{escape(v)}</b><span>{k}</span></div>" for v, k in tiles) + "</div>"
    )


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else "∞" if math.isinf(value) else f"{value:.2f}"


def _faults(run: Run) -> str:
    if not run.events:
        return ""
    rows, toll = [], run.toll
    for number, event in enumerate(run.events, 1):
        lasts = f"the fault lasts {event.lasts:g} s" if event.lasts else ""
        rows.append(
            (
                f'<span class="number">{number}</span> {escape(event.action)}',
                f"{event.at - run.started:.1f} s",
                escape(wording.victim(event)),
                wording.awaited(event.answer, event),
                wording.awaited(event.back, event),
                wording.awaited(event.recovery, event),
                str(toll.in_flight[number - 1] + toll.outage[number - 1]),
                escape("; ".join(filter(None, (lasts, event.note)))),
            )
        )
    head = ("fault", "at", "victim", "next 200 after", "place served after", "recovery", "requests lost", "")
    return _section("Faults", _table(head, rows))


def _ramp(run: Run) -> str:
    if not run.steps:
        return ""
    rows = [
        (
            f"{s['rate']:.1f}/s",
            '<span class="good">met</span>' if s["met"] else '<span class="bad">missed</span>',
            escape(s["why"]),
        )
        for s in run.steps
    ]
    return _section("The ramp, step by step", _table(("rate", "objective", "reason"), rows))


def _balance(run: Run) -> str:
    found = ""
    for by, fresh in (("worker", True), *((by, False) for by in SHOWN_BY)):
        shares = balance(run.tally.workers, by, run.workers if by == "worker" else 0, fresh=fresh)
        if sum(shares.counts.values()) and (by == "worker" or len(shares.counts) > 1):
            what = "new connections" if fresh else "all responses"
            found += (
                f'<p class="soft">{what} by {by}: busiest over idlest {_ratio(shares.busiest_over_idlest)}, '
                f"Gini {shares.gini:.3f}</p>{share_bars(shares.shares, shares.counts)}"
            )
    return found or '<p class="soft">No response named the worker that sent it.</p>'


def _checks(run: Run) -> str:
    rows = [
        (
            escape(wording.CHECKS[check.name]),
            f'<span class="{"good" if check.good else "bad"}">{escape(wording.value(check, check.value))}</span>',
            escape(wording.limit(check)),
        )
        for check in run.verdict.checks
    ]
    return _table(("", "measured", "limit"), rows)


def _failures(run: Run) -> str:
    """Failures by class. Those in flight on a killed worker or in an outage have a column of their own."""
    outcomes, others = run.tally.outcomes, run.toll.others
    rows = []
    for name in FAILURES:
        alone = others[name]
        own = max(0, min(outcomes[name], sum(f.outcome == name for f in run.tally.failures)) - alone)
        mark = "bad" if alone else ""
        rows.append(
            (
                name,
                wording.count(outcomes[name]),
                wording.count(own),
                f'<span class="{mark}">{wording.count(alone)}</span>',
            )
        )
    return _table(("", "all", "caused by faults", "other"), rows)


def _routes(run: Run) -> str:
    rows = []
    for name, route in run.tally.routes.items():
        total, latency = route.outcomes.total(), route.latency
        failed = total - route.outcomes[OK]
        quantiles = (
            wording.duration(latency.percentile(share)) if latency.total else "-" for share in (0.5, 0.95, 0.99, 1)
        )
        rows.append((escape(name), wording.count(total), wording.count(failed), *quantiles))
    return _table(("", "requests", "failed", "p50", "p95", "p99", "longest"), rows)


def _section(title: str, body: str, key: str = "", note: str = "") -> str:
    under = f'<p class="soft">{escape(note)}</p>' if note else ""
    return f"<section>{key}<h2>{escape(title)}</h2>{body}{under}</section>"


def _key(*kinds: str) -> str:
    return '<span class="key">' + "".join(
        f'<i style="background:var(--{kind})"></i>{KINDS.get(kind, kind)}' for kind in kinds
    ) + "</span>"  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{title}</th>" for title in head)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'
