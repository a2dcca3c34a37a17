"""The live table of `corepod run`: one line for each slot, in as many columns as the window has room for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from corepod.contract.listening import url
from corepod.contract.units import duration, size
from corepod.local.columns import Column, fit

if TYPE_CHECKING:
    from typing import Any

    from rich.console import RenderableType

COLOURS = {
    "ready": "green",
    "busy": "yellow",
    "starting": "cyan",
    "draining": "blue",
    "backoff": "magenta",
    "stuck": "red",
    "failed": "bold red",
}


def _state(slot: dict[str, Any], now: float) -> Text:
    return Text(slot["state"], style=COLOURS.get(slot["state"], ""))


def _restarts(slot: dict[str, Any], now: float) -> Text:
    return Text(str(slot["restarts"]), style="red" if slot["restarts"] else "")


COLUMNS: tuple[Column[dict[str, Any]], ...] = (
    Column("slot", 0, lambda slot, now: str(slot["slot"])),
    Column("core", 6, lambda slot, now: "-" if slot["core"] is None else str(slot["core"])),
    Column("pid", 0, lambda slot, now: str(slot["pid"] or "-"), least=7),
    Column("state", 0, _state, "left", least=max(map(len, COLOURS))),
    Column("restarts", 1, _restarts),
    Column("requests", 2, lambda slot, now: str(slot["requests"])),
    Column("in flight", 5, lambda slot, now: str(slot["in_flight"])),
    Column("cpu", 3, lambda slot, now: f"{slot['busy']:.0%}"),
    Column("memory", 4, lambda slot, now: size(slot["rss_bytes"])),
    Column("up", 7, lambda slot, now: duration(now - slot["ready_at"]) if slot["ready_at"] else "-"),
    Column("last exit", 8, lambda slot, now: slot["last_exit"] or "", "left", cut=12),
)
FRAME = 3  # cells of a column's border and padding; the table has one border more
AROUND = 5  # lines of the table beside its slots: three of the head, the foot, and one below


def table(status: dict[str, Any] | None, now: float, columns: int, lines: int = 1000) -> RenderableType:
    """Title and table for this status document; `now` in seconds of wall-clock time, in a window of this size."""
    title = _title(status)
    slots = status["slots"] if status else []
    room = max(1, lines - AROUND - 1 - len(title) // max(1, columns))
    shown = slots if len(slots) <= room else slots[: max(0, room - 1)]
    cells = {column: [column.cell(slot, now) for slot in shown] for column in COLUMNS}
    natural = {column: max(column.least, *map(len, [column.name, *cells[column]])) for column in COLUMNS}
    widths = fit(natural, columns - 1, FRAME)
    drawn = Table(expand=False)
    for column, width in widths.items():
        drawn.add_column(column.name, justify=column.justify, no_wrap=True, overflow="ellipsis", width=width)
    for row in zip(*(cells[column] for column in widths), strict=True):
        drawn.add_row(*row)
    return Group(title, drawn, *_left_out(slots[len(shown) :]))


def _left_out(slots: list[dict[str, Any]]) -> list[Text]:
    if not slots:
        return []
    states = ", ".join(f"{count} {state}" for state, count in Counter(slot["state"] for slot in slots).items())
    return [Text(f"and {len(slots)} more: {states}", style="dim")]


def _title(status: dict[str, Any] | None) -> Text:
    if status is None:
        return Text("starting …", style="dim")
    where = ", ".join(map(url, status["binds"]))
    title = Text.assemble((status["name"], "bold"), " on ", (where, "underline"), f"  admin {url(status['admin'])}")
    return title.append(f"  {status['state']}", style=COLOURS.get(status["state"], ""))
