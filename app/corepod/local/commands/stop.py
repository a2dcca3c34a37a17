"""`corepod stop`: drains, and waits until the pool is gone."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_LATE, EXIT_NO_POOL, EXIT_OK, EXIT_SETTINGS
from corepod.contract.units import duration
from corepod.local import output
from corepod.local.client import Gone, Unreachable
from corepod.local.pools import CommandError, add_pool, add_timeout, find, post
from corepod.local.survey import survey
from corepod.supervisor.launch import sockets

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable
    from typing import Any

    from corepod.local.client import Client
    from corepod.local.survey import Found

LOOK = 0.2  # seconds between two looks at the pool
LONG = 3.0  # seconds after which it is told what the pool waits for; where the wait ends before, at its end
GRACE = 10.0  # seconds more than the pool gives itself


def configure(parser: ArgumentParser) -> None:
    add_pool(parser)
    parser.add_argument("-a", "--all", action="store_true", help="stop every pool of this user")
    parser.add_argument("--now", action="store_true", help="don't drain: kill the workers, and lose what they serve")
    meaning = "time to wait; the pool goes on draining when it is over (default: 10 s more than its stop_timeout)"
    add_timeout(parser, None, meaning)
    output.add_json(parser)


def main(options: Namespace) -> int:
    if options.all and options.pool:
        raise CommandError("name a pool, or use --all", EXIT_SETTINGS)
    if not options.all and forget_killed(options.pool):
        return EXIT_OK
    clients = [found.client for found in survey() if not found.gone] if options.all else [find(options.pool)]
    if not clients:
        output.complain("no pool runs here")
    # All are asked first, so that they drain at the same time.
    waits, faults = [], []
    for client in clients:
        try:
            waits.append(ask(client, now=options.now, timeout=options.timeout))
        except CommandError as fault:
            faults.append((client, fault))
    done = [wait(json=options.json) for wait in waits]
    for client, told in faults:  # one that doesn't answer holds up none of the others
        output.complain(str(told))
        done.append({"pool": client.name, "stopped": False, "why": str(told)})
    if options.json:
        output.dump(done)
    late = next((EXIT_LATE for stopped in done if not stopped["stopped"]), EXIT_OK)
    return faults[0][1].code if faults else late


def forget_killed(name: str | None) -> bool:
    """Remove the socket of a pool that was killed, where the name means nothing else. Returns whether it was so."""
    named = [found for found in survey() if found.client.name == name]
    if not named or not all(found.gone for found in named):
        return False
    for found in named:
        _forget(found)
    output.complain(f"{name} isn't running: it was killed, and is forgotten now")
    return True


def _forget(found: Found) -> None:
    """A new pool may have taken the address since it was looked at; its own socket is another file. The lock is that of
    one which has made its socket, and doesn't listen yet."""
    address = found.client.address
    if (lock := sockets.lock(os.path.dirname(address))) is None:
        return
    with contextlib.suppress(OSError):
        before = os.stat(address)
        if any(again.gone for again in survey([found.client])) and os.path.samestat(before, os.stat(address)):
            os.unlink(address)
    os.close(lock)


def ask(client: Client, *, now: bool, timeout: float | None) -> Callable[..., dict[str, Any]]:
    """Ask the pool to stop. Returns what waits until its process is gone."""
    pidfd = _hold(client)
    begun = time.monotonic()
    within = post(client, f"/stop?now={int(now)}")["within"]
    patience = timeout if timeout is not None else within + GRACE

    def wait(*, json: bool) -> dict[str, Any]:
        try:
            stopped = _gone(client, pidfd, begun, begun + patience, quiet=json)
        finally:
            if pidfd is not None:
                os.close(pidfd)
        taken = time.monotonic() - begun
        if not json and stopped:
            print(f"{client.name}: stopped in {duration(taken) if taken >= 60 else f'{taken:.1f} s'}", flush=True)
        elif not json:
            output.complain(f"{client.name} still drains (--timeout); corepod stop --now {client.name} ends it at once")
        return {"pool": client.name, "stopped": stopped, "seconds": round(taken, 3)}

    return wait


def _hold(client: Client) -> int | None:
    """A descriptor of the pool's process, None where it is in another pid namespace: then its socket must do."""
    try:
        pid = client.pid()
        return os.pidfd_open(pid) if pid else None
    except Unreachable as error:
        raise CommandError(f"{client.name} doesn't answer: {error}", EXIT_NO_POOL) from error
    except OSError:
        return None  # gone already, or not allowed in this sandbox


def _gone(client: Client, pidfd: int | None, begun: float, deadline: float, *, quiet: bool) -> bool:
    told = ""
    while not _has_ended(client, pidfd):
        now = time.monotonic()
        late = now >= deadline
        if not quiet and (late or now - begun >= LONG) and (text := _progress(client)) != told:
            told = text
            output.complain(f"{client.name}: {text}")
        if late:
            return False
    return True


def _has_ended(client: Client, pidfd: int | None) -> bool:
    """Look once, for a moment."""
    if pidfd is not None:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        return bool(poll.poll(LOOK * 1000))
    time.sleep(LOOK)
    try:
        client.get("/events?after=0")
    except Gone:
        return True
    except Unreachable:
        pass  # busy
    return False


def _progress(client: Client) -> str:
    status = client.status()
    if status is None:
        return "ends"
    flying = sum(slot["in_flight"] for slot in status["slots"])
    return f"draining, {flying} request(s) in flight" if flying else "draining, no request in flight"
