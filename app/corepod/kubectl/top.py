"""`kubectl corepod top`: nodes as rows, cores as cells, each with its pod, state, CPU and deaths."""

from __future__ import annotations

import os
import time
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.kubectl import grid
from corepod.kubectl.access import connect
from corepod.kubectl.fleet import EXEC, PROXY, Fleet
from corepod.kubectl.pods import none
from corepod.local import output
from corepod.local.screen import window

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

    from corepod.kubectl.grid import Look

SHORTEST, LONGEST = 0.5, 60.0  # seconds
WIDE = 160  # cells of a line where nothing says how many there are


def configure(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--interval",
        type=_interval,
        default=2.0,
        metavar="SECONDS",
        help=f"time between two looks, over which CPU is measured, {SHORTEST:g} to {LONGEST:g} (default: 2)",
    )
    parser.add_argument("--once", action="store_true", help="print one table and end, as it does without a terminal")
    output.add_json(parser, "print JSON once")


def main(options: Namespace) -> int:
    access = connect(options)
    fleet = Fleet(access)
    live = not options.json and not options.once and _can_draw()
    first = fleet.look(options.interval if live else EXEC)
    if not first.workers and not options.json:
        raise none(access)
    context = f"namespace {access.namespace}" if access.namespace else "all namespaces"
    several = not access.namespace
    if live:
        from corepod.kubectl.live import watch

        return watch(fleet, first, context, options.interval, namespaces=several)
    if first.workers:
        time.sleep(options.interval)
        first = fleet.look(max(options.interval, PROXY))
    if options.json:
        output.dump(grid.document(first))
    else:
        _print(first, context, namespaces=several)
    return EXIT_OK


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return seconds


def _can_draw() -> bool:
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def _print(look: Look, context: str, *, namespaces: bool) -> None:
    from rich.console import Console

    from corepod.kubectl.draw import lines
    from corepod.local.top import cells

    console = Console(highlight=False, markup=False, emoji=False)
    given = os.environ.get("COLUMNS", "")
    width = window().columns if os.isatty(1) else int(given) if given.isdecimal() and int(given) else WIDE
    glyphs = cells.UNICODE if console.encoding.startswith("utf") else cells.ASCII
    with console.capture() as drawn:  # rich would end the command itself when nobody reads on
        for line in lines(look, context, width, namespaces=namespaces, glyphs=glyphs):
            console.print(line, soft_wrap=True)
    print(drawn.get(), end="")
