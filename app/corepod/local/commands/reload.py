"""`corepod reload`: new code, while the old code serves until the new one is ready."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_LATE, EXIT_OK
from corepod.local import outcomes, output
from corepod.local.outcomes import Outcome
from corepod.local.pools import CommandError, add_pool, add_timeout, ask_patiently, failures, find, get, post

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from corepod.local.client import Client

LOOK = 0.1  # seconds between two looks at the pool


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    parser.add_argument(
        "-w", "--wait", action="store_true", help="wait until it is done; when it fails, say why, and exit with 7"
    )
    add_timeout(parser, 300, "time to wait with --wait; the reload goes on when it is over")
    output.add_json(parser)


def main(options: Namespace) -> int:
    client = find(options.pool)
    before = get(client, "/status")
    number = post(client, "/reload")["reload"]
    if not options.wait:
        if options.json:
            output.dump({"pool": client.name, "reload": number})
        else:
            print(f"{client.name}: reload {number} was asked for; corepod events shows how it ends (or use --wait)")
        return EXIT_OK
    begun = time.monotonic()
    status = wait(client, number, before, begun + options.timeout)
    taken = time.monotonic() - begun
    if options.json:
        workers = [slot["worker"] for slot in status["slots"]]
        output.dump({"pool": client.name, "reload": number, "seconds": round(taken, 3), "workers": workers})
    else:
        print(f"{client.name}: reloaded {len(status['slots'])} slot(s) in {taken:.1f} s")
    return EXIT_OK


def wait(client: Client, number: int, before: dict[str, Any], deadline: float) -> dict[str, Any]:
    """The status when this reload is done. Raises CommandError with the reason where the new code doesn't work."""
    while True:
        status: dict[str, Any] = ask_patiently(client, "/status", deadline)
        if (status["pid"], status["started_at"]) != (before["pid"], before["started_at"]):
            raise CommandError(f"{client.name} was started anew meanwhile, which loads the new code", EXIT_FAILED)
        outcome = outcomes.of_reload(status, number)
        if outcome is Outcome.DONE:
            return status
        if outcome is Outcome.FAILED:
            whys = "\n".join(failures(client, before["last_event"]))
            why = status["reloads"]["failure"]
            raise CommandError(f"{client.name}: the reload failed: {why}\n{whys}".rstrip(), EXIT_FAILED)
        if time.monotonic() >= deadline:
            raise CommandError(f"{client.name}: the reload isn't done yet (--timeout): {under_way(status)}", EXIT_LATE)
        time.sleep(LOOK)


def under_way(status: dict[str, Any]) -> str:
    """What the reload is at."""
    waiting = [slot["slot"] for slot in status["slots"] if slot.get("waits_for_turn")]
    if waiting:
        return f"slot {waiting[0]} waits until workers of other pools are replaced (take_turns)"
    return f"{sum(slot['being_replaced'] for slot in status['slots'])} slot(s) are changing over"
