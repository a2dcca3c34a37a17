"""The verdict in a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from loadtest.report import words
from loadtest.verdict import FAILED, INVALID, PASSED

if TYPE_CHECKING:
    from loadtest.run import Run

WIDTH = 120  # of tables in a log
COLOURS = {PASSED: "green", FAILED: "red", INVALID: "yellow"}


def show(run: Run, console: Console | None = None) -> None:
    """Strikes, thresholds, and the verdict as the last line."""
    console = console or (Console() if sys.stdout.isatty() else Console(width=WIDTH))
    if run.events:
        console.print(_strikes(run))
    verdict = run.verdict
    table = Table(box=None, header_style="dim")
    for title in ("", "threshold", "is", "may be"):
        table.add_column(title, justify="right" if title in ("is", "may be") else "left")
    for check in verdict.checks:
        mark = "[green]✓" if check.good else "[red]✗"
        table.add_row(mark, words.CHECKS[check.name], words.value(check, check.value), words.limit(check))
    console.print(table)
    console.print(words.sentence(run), highlight=False)
    console.print(f"[{COLOURS[verdict.state]} bold]{words.MARKS[verdict.state]} {verdict.state}")


def _strikes(run: Run) -> Table:
    table = Table(box=None, header_style="dim")
    for title in ("strike", "at", "whom", "next 200", "back", "beside the fault", "lost", "note"):
        table.add_column(title, justify="left" if title in ("strike", "whom", "note") else "right")
    toll = run.toll
    for number, event in enumerate(run.events):
        table.add_row(
            event.action,
            f"{event.at - run.started:.1f} s",
            words.whom(event),
            words.duration(event.answer),
            words.duration(event.back),
            words.duration(event.recovery),
            str(toll.in_flight[number] + toll.outage[number]),
            event.note,
        )
    return table
