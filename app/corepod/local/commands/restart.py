"""`corepod restart`: a new worker for a slot, before the old one goes."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_LATE, EXIT_OK
from corepod.local.pools import CommandError, add_pool, get, need_slot, post

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from corepod.local.client import Client

LOOK = 0.05  # seconds between two looks at the pool


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    parser.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="time to wait (default: 60)")
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(options: Namespace) -> int:
    client, slot = need_slot(options.pool)
    before = get(client, "/status")["last_event"]
    asked = post(client, f"/restart?slot={slot}")
    worker = _wait(client, int(slot), asked["worker"], before, time.monotonic() + options.timeout)
    if options.json:
        print(
            json.dumps({"slot": int(slot), "before": asked["worker"], "worker": worker["worker"], "pid": worker["pid"]})
        )
    else:
        print(f"{client.name}/{slot}: worker {worker['worker']} (pid {worker['pid']}) has taken over")
    return EXIT_OK


def _wait(client: Client, slot: int, old: int | None, before: int, deadline: float) -> dict[str, Any]:
    while True:
        found: dict[str, Any] = get(client, "/status")["slots"][slot]
        if found["worker"] not in (None, old) and found["ready"]:
            return found
        if old is not None and not found["being_replaced"] and found["worker"] == old:
            whys = [
                event["message"]
                for event in get(client, f"/events?after={before}")["events"]
                if event["level"] == "error"
            ]
            raise CommandError(
                f"{client.name}/{slot} keeps its worker: {' / '.join(whys) or 'see the log'}", EXIT_FAILED
            )
        if time.monotonic() >= deadline:
            raise CommandError(f"{client.name}/{slot}: no new worker is ready yet (--timeout)", EXIT_LATE)
        time.sleep(LOOK)
