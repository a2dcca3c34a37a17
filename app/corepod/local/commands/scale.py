"""`corepod scale`: more or fewer slots."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_OK
from corepod.local.pools import add_pool, find, post

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    parser.add_argument(
        "to",
        metavar="4|+1|-1|auto",
        help="number of slots, or how many more or fewer; auto is what workers says, or one a core",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(options: Namespace) -> int:
    client = find(options.pool)
    answer = post(client, f"/scale?to={options.to}")
    if options.json:
        print(json.dumps(answer))
    else:
        print(f"{client.name}: {answer['before']} -> {answer['slots']} slots")
    return EXIT_OK
