"""The list of slots: as many columns and lines as there is room for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from corepod.local.columns import fit
from corepod.local.top import cells
from corepod.local.top.view import SORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from corepod.local.columns import Column
    from corepod.local.top.cells import Glyphs
    from corepod.local.top.figures import Row
    from corepod.local.top.view import View


def listing(
    order: Sequence[Row], view: View, chosen: int | None, width: int, room: int, wall: float, glyphs: Glyphs
) -> list[Text]:
    """The head of the columns and the slots, `room` lines together: those around the chosen one."""
    space = room - 1
    if space < len(order):
        space -= 1  # for the line about the others
    space = max(1, space)
    first = min(max(0, (chosen or 0) - space // 2), max(0, len(order) - space))
    rows = order[first : first + space]
    widths = _widths(order, width, wall)
    lines = [_titles(widths, view, glyphs)]
    for number, row in enumerate(rows, first):
        lines.append(_line(row, widths, wall, glyphs))
        if number == chosen:
            lines[-1].pad_right(max(0, width - lines[-1].cell_len))
            lines[-1].stylize("reverse")
    if len(rows) < len(order):
        lines.append(Text(f"{first + 1} to {first + len(rows)} of {len(order)} slots", "dim"))
    return lines[:room] if room > 1 else lines[1:2]


def _widths(rows: Sequence[Row], width: int, wall: float) -> dict[Column[Row], int]:
    """As wide as what is in them, of all rows: scrolling moves no column. A bar takes what is left."""
    natural = {
        column: max([column.least, len(column.name) + 1, *(_length(column.cell(row, wall)) for row in rows)])
        for column in cells.COLUMNS
    }
    widths = fit(natural, width + cells.GAP, cells.GAP)
    left = width + cells.GAP - sum(widths.values()) - cells.GAP * len(widths)
    widths[cells.USE] = min(cells.WIDEST, widths[cells.USE] + max(0, left))
    return widths


def _length(cell: str | Text) -> int:
    return cell_len(cell if isinstance(cell, str) else cell.plain)


def _titles(widths: Mapping[Column[Row], int], view: View, glyphs: Glyphs) -> Text:
    sort = SORTS[view.sort]
    arrow = glyphs.down if sort.descending != view.reverse else glyphs.up
    line = Text()
    for column, width in widths.items():
        name = column.name + (arrow if column.name == sort.name else "")
        line.append(" " * cells.GAP if line else "").append(_aligned(Text(name, "bold"), column, width))
    return line


def _line(row: Row, widths: Mapping[Column[Row], int], wall: float, glyphs: Glyphs) -> Text:
    line = Text()
    for column, width in widths.items():
        cell = cells.bar(row, width, glyphs) if column is cells.USE else column.cell(row, wall)
        text = cell if isinstance(cell, Text) else Text(cell)
        line.append(" " * cells.GAP if line else "").append_text(
            _aligned(cells.cut(text, width, glyphs), column, width)
        )
    return line


def _aligned(text: Text, column: Column[Row], width: int) -> Text:
    text.align(column.justify, width)
    return text
