"""The verdict in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from loadtest.report import wording
from loadtest.verdict import FAILED, INVALID, PASSED

if TYPE_CHECKING:
    from loadtest.run import Run

WIDTH = 120  # of tables in a log
COLOURS = {PASSED: "green", FAILED: "red", INVALID: "yellow"}


def show(run: Run, console: Console | None = None) -> None:
    """Faults, thresholds, and the verdict as the last line."""
    console = console or (Console() if sys.stdout.isatty() else Console(width=WIDTH))
    if run.events:
        console.print(_faults(run))
    verdict = run.verdict
    table = Table(box=None, header_style="dim")
    for title in ("", "threshold", "measured", "limit"):
        table.add_column(title, justify="right" if title in ("measured", "limit") else "left")
    for check in verdict.checks:
        mark = "[green]✓" if check.good else "[red]✗"
        table.add_row(mark, wording.CHECKS[check.name], wording.value(check, check.value), wording.limit(check))
    console.print(table)
    console.print(wording.sentence(run), highlight=False)
    for words in filter(None, (wording.why(run), wording.not_judged(run))):
        console.print(words, highlight=False, markup=False)
    console.print(f"[{COLOURS[verdict.state]} bold]{wording.MARKS[verdict.state]} {verdict.state}")


def _faults(run: Run) -> Table:
    table = Table(box=None, header_style="dim")
    for title in ("fault", "at", "victim", "next 200", "served after", "recovery", "lost", "note"):
        table.add_column(title, justify="left" if title in ("fault", "victim", "note") else "right")
    toll = run.toll
    for number, event in enumerate(run.events):
        table.add_row(
            event.action,
            f"{event.at - run.started:.1f} s",
            wording.victim(event),
            wording.awaited(event.answer, event),
            wording.awaited(event.back, event),
            wording.awaited(event.recovery, event),
            str(toll.in_flight[number] + toll.outage[number]),
            event.note,
        )
    return table
