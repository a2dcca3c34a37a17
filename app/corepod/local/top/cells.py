"""The columns of the list of slots, and how each value is written."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.text import Text

from corepod.contract.units import duration, size
from corepod.local.columns import Column
from corepod.local.table import COLOURS

if TYPE_CHECKING:
    from corepod.local.top.figures import Between, Row

GAP = 2  # cells between two columns, or two facts
BAR = 7  # cells of the shortest bar, between its brackets
PERCENT = 5  # what stands behind it
WIDEST = 40
HOT, WARM = 0.9, 0.7  # shares of a core from which on a bar is red, and yellow


class Glyphs(NamedTuple):
    own: str
    others: str
    down: str
    up: str
    dots: str


UNICODE = Glyphs("█", "▒", "▼", "▲", "…")
ASCII = Glyphs("|", ":", "v", "^", "~")


def cut(line: Text, width: int, glyphs: Glyphs) -> Text:
    """The line as far as it has room, and of several the first one: a traceback is for the log. A tab would take more
    room than it counts for."""
    line = line[:end] if (end := line.plain.find("\n")) >= 0 else line.copy()
    line.expand_tabs(1)
    if line.cell_len > width:
        line.truncate(max(0, width - 1))
        line.append(glyphs.dots[:width])
    return line


def rate(value: float | None) -> str:
    """Requests a second in at most five characters, up to ten millions."""
    if value is None:
        return "-"
    if 0 < value < 10:
        return f"{value:.1f}"
    return f"{value:.0f}" if value < 99_999.5 else f"{value / 1000:.0f}k"


def time(between: Between | None) -> str:
    """The bound that it keeps: the histogram knows no more."""
    if between is None:
        return "-"
    if between.most is None:
        return f">{between.least:g} s"
    return f"<{between.most * 1000:.0f} ms" if between.most < 1 else f"<{between.most:g} s"


def count(value: int) -> Text:
    """A number that should be 0."""
    return Text(str(value), style="red" if value else "")


def heat(share: float) -> str:
    return "red" if share >= HOT else "yellow" if share >= WARM else "green"


def bar(row: Row, width: int, glyphs: Glyphs) -> Text:
    """How much of its core the slot takes, what else runs there, and the slot's share in percent."""
    cells = width - 2 - PERCENT
    own = min(cells, round(row.own * cells))
    others = min(cells - own, round((row.others or 0.0) * cells))
    return Text.assemble(
        "[",
        (glyphs.own * own, heat(row.own)),
        (glyphs.others * others, "blue"),
        " " * (cells - own - others),
        "]",
        f"{min(row.own, 9.99):{PERCENT}.0%}",
    )


def _state(row: Row, now: float) -> Text:
    state = row.slot["state"]
    return Text("replacing" if row.slot["being_replaced"] and state == "ready" else state, COLOURS.get(state, ""))


def _others(row: Row, now: float) -> str:
    return "-" if row.others is None else f"{row.others:.0%}"


USE = Column["Row"]("USE", 0, lambda row, now: "", "left", least=BAR + 2 + PERCENT)
COLUMNS: tuple[Column[Row], ...] = (
    Column("SLOT", 0, lambda row, now: str(row.slot["slot"]), least=4),
    Column("CORE", 5, lambda row, now: "-" if row.slot["core"] is None else str(row.slot["core"])),
    USE,
    Column("OTHERS", 8, _others),
    Column("REQ/S", 0, lambda row, now: rate(row.rate), least=5),
    Column("P50", 4, lambda row, now: time(row.p50), least=7),
    Column("P99", 0, lambda row, now: time(row.p99), least=7),
    Column("FLIGHT", 2, lambda row, now: str(row.slot["in_flight"])),
    Column("RESTARTS", 0, lambda row, now: count(row.slot["restarts"])),
    Column("MEMORY", 3, lambda row, now: size(row.slot["rss_bytes"]), least=7),
    Column("STATE", 0, _state, "left", least=len("replacing")),
    Column("PID", 6, lambda row, now: str(row.slot["pid"] or "-"), least=7),
    Column("UP", 7, lambda row, now: duration(now - at) if (at := row.slot["ready_at"]) else "-", least=8),
    Column("WHY, OR LAST EXIT", 9, lambda row, now: row.slot["why"] or row.slot["last_exit"] or "", "left", cut=12),
)
