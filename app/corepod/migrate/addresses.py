"""Addresses as other servers write them, in corepod's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.env import APP_PORT

if TYPE_CHECKING:
    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

EVERY = ("0.0.0.0", "[::]", "")


def address(text: str) -> str:
    """HOST:PORT or unix:PATH. Raises ValueError for what corepod can't open."""
    text = text.strip().removeprefix("tcp://")
    if text.startswith("fd://"):
        raise ValueError("a descriptor is only taken over from systemd (LISTEN_FDS), without bind")
    if text.startswith(("unix:", "/")):
        return "unix:" + text.removeprefix("unix:").replace("//", "/", 1 if text.startswith("unix://") else 0)
    if text.isdecimal():
        return f"0.0.0.0:{text}"
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"
    host, colon, port = ("", "", "") if text.endswith("]") else text.rpartition(":")
    return f"{host or '0.0.0.0'}:{port}" if colon else f"{text}:{APP_PORT}"


def bind(case: Case, given: Given) -> None:
    """The addresses; PORT of a platform is left to corepod, which reads it, too."""
    if "PORT" in given.reads and (case.context.environ.get("PORT") or "PORT" in given.missing):
        left_to_platform(case, given)
        return
    if given.missing:
        case.ask(given, f"{', '.join(given.missing)} isn't set here; set it and try again, or write bind")
        return
    listed = [address(word) for word in given.words]
    note, check = "", False
    if "PORT" in given.reads:
        check = True
        note = "PORT isn't set here; where a platform sets it, leave bind out: corepod then listens on 0.0.0.0:$PORT"
        case.program.use(given.setting, given.text, "bind", listed, note, check=check)
        return
    case.use(given, "bind", listed, note, check=check)


def left_to_platform(case: Case, given: Given) -> None:
    note = "without bind corepod listens on 0.0.0.0:$PORT, where PORT is set"
    case.program.map(given.setting, given.text, "PORT", note)
