"""`corepod top`: a live view of a pool; where there is no terminal for it, one look."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_NO_POOL, EXIT_OK, EXIT_SETTINGS
from corepod.local import output
from corepod.local.client import Client, Refused, Unreachable, running
from corepod.local.pools import CommandError, add_pool, find
from corepod.local.top import command
from corepod.local.top.model import Model, update
from corepod.local.top.watcher import Pool

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    command.configure(parser, 0.1, 1.0, "rates are")
    output.add_json(parser, "print JSON once, a line for each pool")


def main(options: Namespace) -> int:
    clients = _chosen(options.pool)
    if not options.json:
        try:
            import rich  # noqa: F401
        except ImportError:
            raise CommandError("pip install 'corepod[local]' for tables, or use --json", EXIT_SETTINGS) from None
    if not options.json and not options.once and command.can_draw():
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
    from corepod.local.top.frame import whole

    if sys.stdout is None:
        return
    if number:
        print()
    command.print_lines(lambda width, glyphs: whole(model, width, time.time(), glyphs))
