"""`corepod scale`: more or fewer slots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK, EXIT_SETTINGS
from corepod.local import output
from corepod.local.pools import CommandError, add_pool, find, post

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TO = re.compile(r"[+-]?[0-9]+|auto")


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    parser.add_argument(
        "to",
        metavar="4|+1|-1|auto",
        help="number of slots, or how many more or fewer; auto is what workers says, or one a core",
    )
    output.add_json(parser)


def main(options: Namespace) -> int:
    if not TO.fullmatch(options.to):
        raise CommandError(f"{options.to!r} is not a number of slots: write 4, +1, -1 or auto", EXIT_SETTINGS)
    client = find(options.pool)
    answer = post(client, f"/scale?to={options.to}")
    if options.json:
        output.dump({"pool": client.name, **answer})
    else:
        print(f"{client.name}: {answer['before']} -> {answer['slots']} slots")
    return EXIT_OK
