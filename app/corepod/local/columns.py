"""Columns of a table for people, of which a window shows as many as it has room for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.text import Text

T = TypeVar("T")


class Column(NamedTuple, Generic[T]):
    """`cell` makes what is shown of a row, now (seconds of wall-clock time).

    `rank` 0 is always there; the others give way in turn, the highest first. `least` is a width that keeps columns
    from coming and going with what is in them. A column with a `cut` takes what room is left, but not less than this.
    """

    name: str
    rank: int
    cell: Callable[[T, float], str | Text]
    justify: Literal["left", "right"] = "right"
    least: int = 0
    cut: int | None = None


def fit(widths: dict[Column[T], int], room: int, around: int) -> dict[Column[T], int]:
    """The columns that have room, with their widths, in the order of the table. Each takes `around` cells more."""
    chosen: dict[Column[T], int] = {}
    for column in sorted(widths, key=lambda column: column.rank):
        least = widths[column] if column.cut is None else min(widths[column], column.cut)
        if column.rank and least + around > room:
            break
        chosen[column] = min(widths[column], max(least, room - around))
        room -= chosen[column] + around
    return {column: chosen[column] for column in widths if column in chosen}
