"""What commands print: tables with colours on a terminal, aligned columns in a pipe, JSON for programs."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Any

    from rich.console import Console

GAP = "  "
STYLES = {
    "ready": "green",
    "busy": "yellow",
    "starting": "cyan",
    "reloading": "cyan",
    "draining": "blue",
    "backoff": "magenta",
    "stuck": "red",
    "failed": "bold red",
    "killed": "bold red",
    "silent": "red",
}


def add_json(parser: argparse._ActionsContainer, what: str = "print JSON") -> None:
    """The flag that each command has."""
    parser.add_argument("--json", action="store_true", help=what)


def dump(document: Any) -> None:
    """Print a document as JSON: indented for eyes, the same for programs."""
    print(json.dumps(document, indent=2))


def console() -> Console | None:
    """Where colours can be shown, None in a pipe and where the library that does it is missing (in a small image)."""
    if not is_terminal() or os.environ.get("TERM") == "dumb":
        return None
    try:
        from rich.console import Console
    except ImportError:
        return None
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=True)


def is_terminal() -> bool:
    return sys.stdout is not None and sys.stdout.isatty()


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> None:
    """Print rows below their heads; `right` names the columns that are aligned at their right end. Cells that are the
    name of a state have its colour. A column without any content is left out."""
    kept = [at for at, name in enumerate(head) if not rows or any(row[at] for row in rows)]
    head, rows = [head[at] for at in kept], [[row[at] for at in kept] for row in rows]
    where = console()
    if where is None:
        for line in plain(head, rows, right):
            print(line)
        return
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in head:
        drawn.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell, style=STYLES.get(cell, "")) for cell in row))
    where.print(drawn, soft_wrap=False)


def plain(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> list[str]:
    """Lines with aligned columns. An empty cell is a dash, so that each line has as many words as the first one where
    no cell has a space in it."""
    cells = [[name.upper() for name in head], *([cell or "-" for cell in row] for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(head))]
    return [
        GAP.join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, head, strict=True)
        ).rstrip()
        for row in cells
    ]


def say(text: str, style: str = "") -> None:
    """Print a line (or several), in a style of rich on a terminal."""
    where = console()
    if where is None:
        print(text)
    else:
        where.print(text, style=style or None)


def complain(text: str) -> None:
    """A line for people beside the output."""
    print(f"corepod: {text}", file=sys.stderr)
