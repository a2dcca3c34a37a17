"""Which pool a command means: POOL, POOL/SLOT, or nothing where only one runs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from corepod.contract.exits import EXIT_FAILED, EXIT_NO_POOL, EXIT_SETTINGS
from corepod.local.client import Client, Refused, Unreachable, running

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


def find(name: str | None) -> Client:
    """The pool of this name, or at this address. Raises CommandError where there is none."""
    if name and name.startswith(("@", "/", "./")):
        return Client(name)
    pools = [client for client in running() if not name or client.name == name]
    alive = [client for client in pools if client.status() is not None]
    if len(alive) == 1:
        return alive[0]
    if alive:
        names = ", ".join(client.name for client in alive)
        raise CommandError(f"several pools run here ({names}): name the one that is meant", EXIT_NO_POOL)
    if not name:
        raise CommandError("no pool runs here; corepod start MODULE:ATTRIBUTE starts one", EXIT_NO_POOL)
    known = [client.name for client in running() if client.status() is not None]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}" if known else ""
    raise CommandError(f"no pool called {name} runs here{hint}", EXIT_NO_POOL)


def find_slot(target: str | None) -> tuple[Client, str]:
    """The pool and the slot of POOL/SLOT; the slot is empty where none is named."""
    name, slash, slot = (target or "").rpartition("/") if target and not target.endswith(".sock") else (target, "", "")
    if slash and slot.isdecimal():
        return find(name or None), slot
    return find(target), ""


def need_slot(target: str | None) -> tuple[Client, str]:
    """The same, where a slot has to be named."""
    client, slot = find_slot(target)
    if not slot:
        raise CommandError(f"which slot? write {client.name}/0, for instance", EXIT_SETTINGS)
    return client, slot


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
        raise CommandError(f"{client.name} doesn't answer: {error}", EXIT_NO_POOL) from error
