"""Charts as inline SVG: drawn here, coloured by the page's style, so that they follow light and dark."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from loadtest.histogram import Histogram
from loadtest.recovery import owner
from loadtest.report.wording import awaited, count, duration, victim

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.run import Run

WIDTH, HEIGHT = 960, 230
LEFT, RIGHT, TOP, BOTTOM = 52, 44, 26, 24  # room for the labels of the axes and the numbers of the faults
MOST_POINTS = 240
KINDS = {"ok": "answered", "own": "lost in flight", "bad": "other failures"}
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@dataclass
class Point:
    """What ended in a stretch of the run: its middle in seconds from the start, and rates a second.

    `own`: failures caused by faults, in flight on their victims.
    """

    at: float
    answered: float
    own: float
    others: float
    latency: Histogram


def points(run: Run) -> list[Point]:
    """The run in at most MOST_POINTS stretches of whole seconds, also those in which nothing ended."""
    first, last = math.floor(run.started), math.floor(run.ended)
    step = max(1, math.ceil((last - first + 1) / MOST_POINTS))
    found: list[Point] = []
    scheduled = run.tally.scheduled.total > 0
    own = Counter(int(f.ended) for f in run.tally.failures if owner(f, run.events) is not None)
    for begins in range(first, last + 1, step):
        inside = [second for at in range(begins, begins + step) if (second := run.tally.seconds.get(at))]
        # The first and the last second of a run are parts of one.
        span = max(min(begins + step, run.ended) - max(begins, run.started), 0.001)
        if span < 0.3 and found:
            continue
        latency = Histogram()
        for second in inside:
            latency.merge(second.scheduled if scheduled else second.latency)
        answered, failed = sum(s.answered for s in inside), sum(s.failed for s in inside)
        excused = sum(own[at] for at in range(begins, begins + step))
        at = begins + step / 2 - run.started
        found.append(Point(at, answered / span, excused / span, (failed - excused) / span, latency))
    return found


def latency_chart(run: Run) -> str:
    shown = points(run)
    values = {name: [p.latency.percentile(share) for p in shown] for name, share in QUANTILES.items()}
    known = [value for row in values.values() for value in row if value]
    if not known:
        return "<p>No responses.</p>"
    low, high = 10 ** math.floor(math.log10(min(known))), max(known) * 1.3
    reach = math.log10(high / low)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * math.log10(max(value, low) / low) / reach

    ticks = [tick for n in range(int(reach) + 2) for tick in (low * 10**n, low * 3 * 10**n) if tick <= high]
    lines, label = "", -math.inf
    for name, row in reversed(values.items()):
        path = [(p.at, y(v) if v else None) for p, v in zip(shown, row, strict=True)]
        # The slowest is the highest; the names of lines that end together stand below each other.
        label = max(next((y for _, y in reversed(path) if y is not None), 0.0), label + 13)
        lines += _line(name, path, label, run.duration)
    return _chart("Latency over time", run, [(y(tick), duration(tick)) for tick in ticks], lines)


def throughput_chart(run: Run) -> str:
    shown = points(run)
    highest = max((p.answered + p.own + p.others for p in shown), default=0) or 1
    step = _round_step(highest / 4)

    def y(rate: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * rate / (highest * 1.05)

    width = max(0.6, (WIDTH - LEFT - RIGHT) / max(len(shown), 1) - 0.5)
    bars = ""
    for point in shown:
        x, bottom = _x(point.at, run.duration) - width / 2, y(0)
        for kind, rate in (("ok", point.answered), ("own", point.own), ("bad", point.others)):
            if rate:
                # At least 3 high: a single failure has to be seen.
                top = bottom - max(y(0) - y(rate), 3)
                bars += _bar(kind, x, top, width, bottom, f"{point.at:.0f} s: {rate:.1f} {KINDS[kind]} a second")
                bottom = top
    ticks = [(y(n * step), count(n * step)) for n in range(int(highest / step) + 1)]
    return _chart("Requests a second over time", run, ticks, bars)


def share_bars(shares: dict[str, float], counts: dict[str, int]) -> str:
    """A bar for each, as wide as its share of the largest."""
    most = max(shares.values(), default=0) or 1
    return "".join(
        f'<div class="share"><span>{escape(name)}</span><i><b style="width:{100 * share / most:.1f}%"></b></i>'
        f"<span>{share:.1%}</span><span>{count(counts[name])}</span></div>"
        for name, share in shares.items()
    )


def _chart(title: str, run: Run, ticks: Sequence[tuple[float, str]], inside: str) -> str:
    grid = "".join(
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="axis" x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{escape(text)}</text>'
        for y, text in ticks
    )
    step = _round_step(run.duration / 8)
    grid += "".join(
        f'<text class="axis" x="{_x(at * step, run.duration):.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{at * step:g} s</text>"
        for at in range(int(run.duration / step) + 1)
    )
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"{_faults(run)}{grid}{inside}</svg></div>"
    )


def _faults(run: Run) -> str:
    """A numbered line for each event, and the time until its place was back as a band."""
    found = ""
    for number, event in enumerate(run.events, 1):
        x = _x(event.at - run.started, run.duration)
        back = run.duration if event.back is None else event.at - run.started + event.back
        wide = max(_x(min(back, run.duration), run.duration) - x, 0)
        tooltip = f"{number}: {event.action} {victim(event)}, served again: {awaited(event.back, event)}"
        found += (
            f'<g class="fault"><title>{escape(tooltip)}</title>'
            f'<rect x="{x:.1f}" y="{TOP}" width="{wide:.1f}" height="{HEIGHT - TOP - BOTTOM}"/>'
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 4}" y2="{HEIGHT - BOTTOM}"/>'
            f'<circle cx="{x:.1f}" cy="{TOP - 13}" r="9"/>'
            f'<text x="{x:.1f}" y="{TOP - 9}" text-anchor="middle">{number}</text></g>'
        )
    return found


def _line(name: str, path: Sequence[tuple[float, float | None]], label: float, whole: float) -> str:
    """A line with gaps where nothing was answered, dots for points between two gaps, and its name at the end."""
    steps, dots, pen = "", "", "M"
    known = [None, *(y for _, y in path), None]
    for number, (at, y) in enumerate(path, 1):
        if y is None:
            pen = "M"
        elif known[number - 1] is known[number + 1] is None:
            dots += f'<circle cx="{_x(at, whole):.1f}" cy="{y:.1f}" r="2.2"/>'  # a line of one point draws nothing
        else:
            steps += f"{pen}{_x(at, whole):.1f} {y:.1f}"
            pen = "L"
    text = f'<text class="name" x="{WIDTH - RIGHT + 6}" y="{label + 4:.1f}">{name}</text>'
    return f'<g class="{name}"><path d="{steps}"/>{dots}{text}</g>'


def _bar(kind: str, x: float, top: float, width: float, bottom: float, tooltip: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{top:.1f}" width="{width:.2f}" height="{max(bottom - top, 0):.1f}">'
        f"<title>{escape(tooltip)}</title></rect>"
    )


def _x(at: float, whole: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(max(at / whole, 0.0), 1.0)


def _round_step(rough: float) -> float:
    """The next of 1, 2 and 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(max(rough, 1e-3)))
    return next(step for step in (power, 2 * power, 5 * power, 10 * power) if step >= rough)
