"""Which pool a command means: POOL, POOL/SLOT, or nothing where only one runs."""

from __future__ import annotations

import difflib
import time
from argparse import ArgumentTypeError
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL
from corepod.contract.runtime import names
from corepod.local.client import Client, Gone, Refused, Unreachable, running
from corepod.local.survey import survey

if TYPE_CHECKING:
    import argparse
    from typing import Any


class CommandError(Exception):
    """The command can't do what was asked; one message for people, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def add_pool(parser: argparse.ArgumentParser, *, slot: bool = False) -> None:
    """The argument that names the pool, and its slot where one can be named."""
    meaning = (
        "name of the pool (corepod ps); may be left out where only one runs, or be the address of a control socket"
    )
    parser.add_argument("pool", nargs="?", metavar="POOL/SLOT" if slot else "POOL", help=meaning)


def add_timeout(parser: argparse.ArgumentParser, default: float | None, meaning: str) -> None:
    """The time that a command waits; a time that isn't a positive number of seconds is an error."""
    text = meaning if default is None else f"{meaning} (default: {default:g})"
    parser.add_argument("--timeout", type=_seconds, default=default, metavar="SECONDS", help=text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):  # 0 might mean not to wait, or to wait for ever
        raise ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return seconds


def find(name: str | None) -> Client:
    """The pool of this name, or at this address. Raises CommandError where there is none."""
    if name and name.startswith(("@", "/", "./")):
        return Client(name)
    everywhere = running()
    # A name that was given to --name is as good as what the socket is called.
    wanted = name and (name if name in {client.name for client in everywhere} else names(name)[0])
    pools = survey([client for client in everywhere if not wanted or client.name == wanted])
    # One that doesn't answer is there all the same: what was asked for says so in its own words.
    alive = [found.client for found in pools if not found.gone]
    if len(alive) == 1 or (alive and name):
        return alive[0]  # of several with the name the one in the first place
    if alive:
        raise CommandError(f"several pools run here ({_names(alive)}): name the one that is meant", EXIT_NO_POOL)
    if pools and name:
        raise CommandError(f"{name} doesn't run: it was killed, and has left {pools[0].client.address}", EXIT_NO_POOL)
    if not name:
        raise CommandError("no pool runs here; corepod start MODULE:ATTRIBUTE starts one", EXIT_NO_POOL)
    known = [found.client.name for found in survey(everywhere) if not found.gone]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}" if known else ""
    raise CommandError(f"no pool called {name} runs here{hint}", EXIT_NO_POOL)


def _names(clients: list[Client]) -> str:
    """Their names, and where several have the same one their addresses, by which they can be named, too."""
    names = [client.name for client in clients]
    return ", ".join(names if len(set(names)) == len(names) else [client.address for client in clients])


def find_slot(target: str | None) -> tuple[Client, str]:
    """The pool and the slot of POOL/SLOT; the slot is empty where none is named."""
    name, slash, slot = (target or "").rpartition("/") if target and not target.endswith(".sock") else (target, "", "")
    if slash and slot.isascii() and slot.isdecimal():
        return find(name or None), slot
    return find(target), ""


def get(client: Client, path: str) -> Any:
    """A document of the pool. Raises CommandError."""
    return _asked(client, "GET", path)


def post(client: Client, path: str) -> Any:
    """What the pool says of a command. Raises CommandError."""
    return _asked(client, "POST", path)


def _asked(client: Client, method: str, path: str) -> Any:
    try:
        return client.get(path) if method == "GET" else client.post(path)
    except Refused as refused:
        raise CommandError(f"{client.name}: {refused}", EXIT_FAILED) from refused
    except Unreachable as error:
        later = "; it may do what was asked for when it goes on" if method == "POST" and error.late else ""
        raise CommandError(f"{client.name} doesn't answer: {error}{later}", EXIT_NO_POOL) from error


def ask_patiently(client: Client, path: str, deadline: float) -> Any:
    """As `get`, for whoever looks again and again: one that is too busy to answer is asked again until the deadline
    (of time.monotonic()); one that is gone isn't."""
    while True:
        try:
            return client.get(path)
        except Unreachable as error:
            if isinstance(error, Gone) or time.monotonic() >= deadline:
                raise CommandError(f"{client.name} doesn't answer any more: {error}", EXIT_NO_POOL) from error


def failures(client: Client, after: int) -> list[str]:
    """What went wrong behind this event, with tracebacks, as lines for people. Empty where the pool can't be asked."""
    try:
        events = client.get(f"/events?after={after}")["events"]
    except (Refused, Unreachable):
        return []
    return [event["message"] for event in events if event["level"] == "error"]
