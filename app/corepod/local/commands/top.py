"""`corepod top`: a live view of a pool; where there is no terminal for it, one look."""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_NO_POOL, EXIT_OK, EXIT_SETTINGS
from corepod.local import output
from corepod.local.client import Client, Refused, Unreachable, running
from corepod.local.pools import CommandError, add_pool, find
from corepod.local.top.model import Model, update
from corepod.local.top.watcher import Pool

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

SHORTEST, LONGEST = 0.1, 60.0  # seconds
WIDE = 160  # cells of a line where nothing says how many there are


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    parser.add_argument(
        "--interval",
        type=_interval,
        default=1.0,
        metavar="SECONDS",
        help=f"time between two looks, over which rates are measured, {SHORTEST:g} to {LONGEST:g} (default: 1)",
    )
    parser.add_argument("--once", action="store_true", help="print one table and end, as it does without a terminal")
    output.add_json(parser, "print JSON once, a line for each pool")


def main(options: Namespace) -> int:
    clients = _chosen(options.pool)
    if not options.json:
        try:
            import rich  # noqa: F401
        except ImportError:
            raise CommandError("pip install 'corepod[local]' for tables, or use --json", EXIT_SETTINGS) from None
    if not options.json and not options.once and _can_draw():
        from corepod.local.top.live import watch

        return watch(clients[0], options.interval)
    return _print_all(clients, options)


def _print_all(clients: list[Client], options: Namespace) -> int:
    """What two looks at each say. One of several that doesn't answer holds up none of the others."""
    pools = [(client, Pool(client)) for client in clients]
    models: list[Model | None] = [Model(client.name) for client in clients]
    faults: dict[str, CommandError] = {}
    for pause in (0.0, options.interval):
        time.sleep(pause)
        for number, (client, pool) in enumerate(pools):
            try:
                models[number] = _look(client, pool, model) if (model := models[number]) else None
            except CommandError as error:
                models[number], faults[client.address] = None, error
    answered = [model for model in models if model]
    for number, model in enumerate(answered):
        _print_json(model) if options.json else _print_table(model, number)
    if len(clients) == 1 and faults:
        raise next(iter(faults.values()))
    for fault in faults.values():
        print(f"corepod: {fault}", file=sys.stderr)
    return EXIT_NO_POOL if faults else EXIT_OK


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not SHORTEST <= seconds <= LONGEST:
        raise ArgumentTypeError(f"{text!r} is not a number of seconds from {SHORTEST:g} to {LONGEST:g}")
    return seconds


def _chosen(name: str | None) -> list[Client]:
    """The pool that is meant, or all that run. Raises CommandError where there is none."""
    if name and name.startswith(("@", "/", "./")):
        if not Client(name).listens():
            raise CommandError(f"no pool listens at {name}", EXIT_NO_POOL)
        return [Client(name)]
    # Not `find`, which takes no pool that doesn't answer: that is what the view has to show.
    clients = [client for client in running() if name in (None, client.name) and client.listens()]
    if name:
        return clients[:1] or [find(name)]  # of several with the name the one in the first place
    return clients or [find(name)]


def _can_draw() -> bool:
    return os.isatty(0) and os.isatty(1) and os.environ.get("TERM", "dumb") != "dumb"


def _look(client: Client, pool: Pool, model: Model) -> Model:
    """The model after one more look. Raises CommandError where the pool doesn't answer."""
    try:
        return update(model, pool.look())
    except (Unreachable, Refused) as error:
        raise CommandError(f"{client.name} doesn't answer: {error}", EXIT_NO_POOL) from error


def _print_json(model: Model) -> None:
    from corepod.local.top.once import document

    assert model.look is not None
    print(json.dumps(document(model.before or model.look, model.look, model.events)))


def _print_table(model: Model, number: int) -> None:
    from rich.console import Console

    from corepod.local.screen import window
    from corepod.local.top import cells
    from corepod.local.top.frame import whole

    if sys.stdout is None:
        return
    console = Console(highlight=False)
    given = os.environ.get("COLUMNS", "")
    width = window().columns if os.isatty(1) else int(given) if given.isdecimal() and int(given) else WIDE
    glyphs = cells.UNICODE if console.encoding.startswith("utf") else cells.ASCII
    with console.capture() as drawn:  # rich would end the command itself when nobody reads on
        for line in ["", *whole(model, width, time.time(), glyphs)][0 if number else 1 :]:
            console.print(line, soft_wrap=True)
    print(drawn.get(), end="")
