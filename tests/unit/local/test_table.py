"""The live table in windows of every size: what is shown is whole, and what has no room is left out."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from corepod.local.table import COLUMNS, table
from rich.console import Console

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = 1_000_000.0
NAMES = [column.name for column in COLUMNS]


def slot(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "slot": number,
        "core": number,
        "pid": 4194304 - number,
        "state": "starting",
        "restarts": 12,
        "requests": 1234567,
        "in_flight": 30,
        "busy": 1.0,
        "rss_bytes": 900 << 20,
        "ready_at": NOW - 4000,
        "last_exit": "signal SIGSEGV after 812.4 s",
        **changed,
    }


def drawn(columns: int, lines: int = 50, slots: Sequence[dict[str, Any]] = (slot(0), slot(1))) -> list[str]:
    status = {"name": "shop", "binds": ["127.0.0.1:8000"], "admin": "127.0.0.1:9000", "state": "ready", "slots": slots}
    console = Console(width=columns, file=io.StringIO())
    with console.capture() as text:
        console.print(table(status, NOW, columns, lines))
    return text.get().splitlines()


def shown(columns: int) -> list[str]:
    head = next(line for line in drawn(columns) if line.startswith("┃"))
    return [cell.strip() for cell in head.strip("┃").split("┃")]


@pytest.mark.parametrize("columns", [30, 37, 60, 79, 80, 81, 100, 132, 160, 200])
def test_nothing_is_cut_but_the_last_exit(columns: int) -> None:
    lines = drawn(columns)
    assert max(map(len, lines)) <= columns
    rows = [line for line in lines if line.startswith("│")]
    assert len(rows) == 2
    for number, row in enumerate(rows):
        cells = dict(zip(shown(columns), [cell.strip() for cell in row.strip("│").split("│")], strict=True))
        assert (cells["slot"], cells["pid"], cells["state"]) == (str(number), str(4194304 - number), "starting")
        assert all("…" not in cell for name, cell in cells.items() if name != "last exit")


def test_a_wider_window_shows_more() -> None:
    before: set[str] = set()
    for columns in range(30, 200):
        assert before <= set(shown(columns))
        before = set(shown(columns))
    assert before == set(NAMES)


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (60, {"slot", "pid", "state", "restarts", "requests", "cpu"}),
        (80, {"slot", "pid", "state", "restarts", "requests", "cpu", "memory", "in flight"}),
        (100, set(NAMES) - {"last exit"}),
        (160, set(NAMES)),
    ],
)
def test_what_has_room(columns: int, names: set[str]) -> None:
    assert set(shown(columns)) == names
    assert shown(columns) == [name for name in NAMES if name in names]


def test_the_last_exit_takes_what_is_left() -> None:
    assert "signal SIGSEGV after 812.4 s" in "\n".join(drawn(140))
    cut = "\n".join(drawn(120))
    assert "signal SIG" in cut
    assert "812.4" not in cut


@pytest.mark.parametrize("lines", [8, 12, 24])
@pytest.mark.parametrize("columns", [60, 80])
def test_more_slots_than_lines(columns: int, lines: int) -> None:
    slots = [slot(number, state="ready" if number % 2 else "busy") for number in range(64)]
    text = drawn(columns, lines, slots)
    assert len(text) <= lines - 1
    rows = sum(line.startswith("│") for line in text)
    assert text[-1].startswith(f"and {64 - rows} more: ")


def test_before_the_first_answer() -> None:
    console = Console(width=60, file=io.StringIO())
    with console.capture() as text:
        console.print(table(None, NOW, 60))
    assert "starting" in text.get()
