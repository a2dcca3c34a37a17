"""`kubectl corepod top`: nodes as rows, cores as cells, each with its pod, state, CPU and deaths."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.kubectl import grid
from corepod.kubectl.access import connect
from corepod.kubectl.fleet import EXEC, PROXY, Fleet
from corepod.kubectl.pods import none
from corepod.local import output
from corepod.local.top import command

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    command.configure(parser, 0.5, 2.0, "CPU is")
    output.add_json(parser, "print JSON once")


def main(options: Namespace) -> int:
    access = connect(options)
    fleet = Fleet(access)
    live = not options.json and not options.once and command.can_draw()
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
        from corepod.kubectl.draw import lines

        command.print_lines(lambda width, glyphs: lines(first, context, width, namespaces=several, glyphs=glyphs))
    return EXIT_OK
