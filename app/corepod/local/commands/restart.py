"""`corepod restart`: a new worker for a slot, before the old one goes; without a slot for all, one after another."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_LATE, EXIT_OK
from corepod.local import outcomes, output
from corepod.local.outcomes import Outcome
from corepod.local.pools import CommandError, add_pool, add_timeout, ask_patiently, failures, find_slot, get, post

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import Any

    from corepod.local.client import Client

LOOK = 0.05  # seconds between two looks at the pool


def configure(parser: ArgumentParser) -> None:
    add_pool(parser, slot=True)
    add_timeout(parser, 60, "time to wait for each slot; what was asked for goes on when it is over")
    output.add_json(parser)


def main(options: Namespace) -> int:
    client, slot = find_slot(options.pool)
    count = len(get(client, "/status")["slots"])
    done = []
    for number in [int(slot)] if slot else range(count):
        new = restart(client, number, options.timeout)
        done.append(new)
        if not options.json:
            print(f"{client.name}/{number}: worker {new['worker']} (pid {new['pid']}) has taken over", flush=True)
    if options.json:
        output.dump({"pool": client.name, "slots": done})
    return EXIT_OK


def restart(client: Client, slot: int, timeout: float) -> dict[str, Any]:
    """Give the slot a new worker. Returns its numbers and the one before. Raises CommandError."""
    before = get(client, "/status")["last_event"]
    old = post(client, f"/restart?slot={slot}")["worker"]
    deadline = time.monotonic() + timeout
    while True:
        slots = ask_patiently(client, "/status", deadline)["slots"]
        if slot >= len(slots):
            raise CommandError(f"{client.name}/{slot} was removed meanwhile", EXIT_FAILED)
        found = slots[slot]
        outcome = outcomes.of_restart(found, old)
        if outcome is Outcome.DONE:
            return {"slot": slot, "before": old, "worker": found["worker"], "pid": found["pid"]}
        if outcome is Outcome.FAILED:
            why = "\n".join(failures(client, before)) or "see the log"
            kept = "keeps its worker" if old is not None else "gets no worker"
            raise CommandError(f"{client.name}/{slot} {kept}: {why}", EXIT_FAILED)
        if time.monotonic() >= deadline:
            raise CommandError(f"{client.name}/{slot}: no new worker is ready yet (--timeout)", EXIT_LATE)
        time.sleep(LOOK)
