"""`corepod dump`: the stacks of all threads and tasks of a running or stuck worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_LATE, EXIT_OK
from corepod.local import output
from corepod.local.pools import add_pool, add_timeout, find_slot, get
from corepod.local.stacks import PATIENCE, collect, lines

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    add_timeout(parser, PATIENCE, "time in which each worker has to answer")
    output.add_json(parser, "print a list of JSON objects, one for each worker")


def main(options: Namespace) -> int:
    client, slot = find_slot(options.pool)
    slots = [slot] if slot else [str(found["slot"]) for found in get(client, "/status")["slots"] if found["pid"]]
    # One after the other: the pool keeps the stacks of a few workers at a time.
    found = [stacks for number in slots for stacks in collect(client, number, options.timeout)]
    if options.json:
        output.dump([stacks.as_json() for stacks in found])
    else:
        for stacks in found:
            for text, style in lines(client.name, stacks):
                output.say(text, style)
    return EXIT_OK if all(stacks.answered for stacks in found) else EXIT_LATE
