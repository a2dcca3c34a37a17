"""`corepod events`: what has happened in a pool, and what happens."""

from __future__ import annotations

import json
import select
import sys
import time
from typing import TYPE_CHECKING

from corepod.contract.escaping import CONTINUED
from corepod.contract.exits import EXIT_OK
from corepod.contract.units import timestamp
from corepod.local import output
from corepod.local.client import Refused, Unreachable
from corepod.local.pools import add_pool, find_slot, get

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from typing import Any

    from corepod.local.client import Client

    Event = dict[str, Any]

LOOK = 0.5  # seconds between two looks at the pool
STYLES = {"error": "red", "warning": "yellow"}
NAMED = ("worker", "slot", "core", "pid", "process")


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on with what happens, also when the pool is started anew"
    )
    output.add_json(parser, "print one JSON object a line")


def main(options: Namespace) -> int:
    client, slot = find_slot(options.pool)
    get(client, "/events")  # an error that isn't worth waiting for ends the command here
    show = _print_json if options.json else _print
    for event in follow(client, _pause) if options.follow else get(client, "/events")["events"]:
        if not slot or event.get("slot") == int(slot):
            show(client.name, event)
    return EXIT_OK


class Reader:
    """Reads the events of a pool, each one once, also when another supervisor has taken the pool's place."""

    def __init__(self, client: Client) -> None:
        self._client, self._since, self._last = client, 0.0, 0

    def new(self) -> tuple[list[Event], int]:
        """Those that have come since the last time, and how many are missing: the pool keeps the latest only.

        Raises Unreachable or Refused.
        """
        document = self._client.get(f"/events?after={self._last}")
        if document["since"] != self._since:
            if self._last:
                document = self._client.get("/events?after=0")
            self._since, self._last = document["since"], 0
        events: list[Event] = document["events"]
        missing = events[0]["number"] - self._last - 1 if events and self._last else 0
        self._last = document["last"]
        return events, missing


def follow(client: Client, pause: Callable[[float], None]) -> Iterator[Event]:
    """Every event from now on, and those that are kept; for ever. While the pool is gone it says so, and waits."""
    reader, there = Reader(client), True
    while True:
        try:
            events, missing = reader.new()
        except (Unreachable, Refused) as error:
            if there:
                output.complain(f"{client.name} doesn't answer ({error}); waiting until it does")
            there = False
        else:
            if not there:
                output.complain(f"{client.name} is there again")
            there = True
            if missing:
                output.complain(f"{missing} event(s) are missing: more have come than the pool keeps")
            yield from events
        pause(LOOK)


def _pause(seconds: float) -> None:
    """Wait, as long as somebody reads. Raises BrokenPipeError, which a write would raise with the next event only."""
    if sys.stdout is None:
        time.sleep(seconds)
        return
    sys.stdout.flush()
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if poll.poll(seconds * 1000):
        raise BrokenPipeError


def _print_json(pool: str, event: Event) -> None:
    print(json.dumps({"pool": pool, **event}))


def _print(pool: str, event: Event) -> None:
    who = " ".join(f"{name} {event[name]}" for name in NAMED if event.get(name) is not None)
    message = event["message"].replace("\n", "\n" + CONTINUED)
    text = f"{timestamp(event['time'])}  {event['kind']:14}  {f'[{who}] ' if who else ''}{message}"
    output.say(text, STYLES.get(event["level"], ""))
