"""What the commands with a live view have in common: their flags, and one table where there is no live view."""

from __future__ import annotations

import os
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser
    from collections.abc import Callable, Iterable

    from rich.text import Text

    from corepod.local.top.cells import Glyphs

LONGEST = 60.0  # seconds between two looks
WIDE = 160  # cells of a line where nothing says how many there are


def configure(parser: ArgumentParser, least: float, default: float, measured: str) -> None:
    """Add --interval, of `least` seconds or more, and --once. `measured` is what is measured between two looks."""

    def interval(text: str) -> float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = 0.0
        if not least <= seconds <= LONGEST:
            raise ArgumentTypeError(f"{text!r} is not a number of seconds from {least:g} to {LONGEST:g}")
        return seconds

    parser.add_argument(
        "--interval",
        type=interval,
        default=default,
        metavar="SECONDS",
        help=f"time between two looks, over which {measured} measured, {least:g} to {LONGEST:g} (default: {default:g})",
    )
    parser.add_argument("--once", action="store_true", help="print one table and end, as it does without a terminal")


def can_draw() -> bool:
    """Whether there is a terminal for a live view, with keys."""
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def print_lines(lines: Callable[[int, Glyphs], Iterable[Text]]) -> None:
    """Print what `lines` makes for the width of the output and the characters that it can show."""
    from rich.console import Console

    from corepod.local.screen import window
    from corepod.local.top import cells

    console = Console(highlight=False)
    given = os.environ.get("COLUMNS", "")
    width = window().columns if os.isatty(1) else int(given) if given.isdecimal() and int(given) else WIDE
    glyphs = cells.UNICODE if console.encoding.startswith("utf") else cells.ASCII
    with console.capture() as drawn:  # rich would end the command itself when nobody reads on
        for line in lines(width, glyphs):
            console.print(line, soft_wrap=True)
    print(drawn.get(), end="")
