"""Addresses as other servers write them, in corepod's form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corepod.contract.env import APP_PORT

if TYPE_CHECKING:
    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

EVERYWHERE = ("0.0.0.0:", "[::]:")


def address(text: str) -> str:
    """HOST:PORT or unix:PATH. Raises ValueError for what corepod can't open."""
    text = text.strip().removeprefix("tcp://")
    if text.startswith("fd://"):
        raise ValueError("a descriptor is only taken over from systemd (LISTEN_FDS), without bind")
    if text.startswith(("unix:", "/")):
        return re.sub(r"^(unix:(//)?)?", "unix:", text)  # unix://shop.sock is relative to gunicorn
    if text.isdecimal():
        return f"0.0.0.0:{text}"
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    host, colon, port = ("", "", "") if text.endswith("]") else text.rpartition(":")
    return f"{host or '0.0.0.0'}:{port}" if colon else f"{text}:{APP_PORT}"


def bind(case: Case, given: Given) -> None:
    """The addresses; PORT of a platform is left to corepod, which reads it, too: on all interfaces, so that an address
    on one of them is written out."""
    others = [name for name in given.missing if name != "PORT"]
    if others:
        case.ask(given, f"{', '.join(others)} isn't set here; set it and try again, or write bind")
        return
    listed = [address(word) for word in given.words]
    platform = "PORT" in given.reads and (case.context.environ.get("PORT") or "PORT" in given.missing)
    if platform and all(one.startswith(EVERYWHERE) for one in listed):
        left_to_platform(case, given)
        return
    if platform:
        _inside(case, given, listed)
        return
    note, check = "", False
    if "PORT" in given.reads:
        check = True
        note = "PORT isn't set here; where a platform sets it, leave bind out: corepod then listens on *:$PORT"
        case.program.use(given.setting, given.text, "bind", listed, note, check=check)
        return
    case.use(given, "bind", listed, note, check=check)


def _inside(case: Case, given: Given, listed: list[str]) -> None:
    """A port of PORT at an address that other machines don't reach: without bind they would."""
    known = "PORT" not in given.missing
    if any(one.startswith("unix:") for one in listed) and not known:
        case.ask(given, "PORT isn't set here; set it and try again, or write bind")
        return
    listed = [f"{one}{APP_PORT}" if one.endswith(":") else one for one in listed]
    port = "the port is the one that PORT has here" if known else f"PORT isn't set here, and {APP_PORT} stands for it"
    note = f"{port}; without bind corepod would listen on *:$PORT, which other machines reach. To follow PORT"
    note += f", start it with COREPOD_BIND={listed[0].rpartition(':')[0]}:$PORT"
    case.program.use(given.setting, given.text, "bind", listed, note, check=True)


def left_to_platform(case: Case, given: Given) -> None:
    note = "without bind corepod listens on *:$PORT, where PORT is set"
    case.program.map(given.setting, given.text, "PORT", note)
