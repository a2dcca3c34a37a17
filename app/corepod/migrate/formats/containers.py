"""What a Dockerfile and a compose file have in common: the command of a container, and its health."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.migrate.formats.server import Found
    from corepod.migrate.model import Program

TERM = ("SIGTERM", "TERM", "15")
_URL = re.compile(r"https?://[^/\s\"']+(/[^\s\"'|)]*)?")


def command(found: Found) -> list[str]:
    """The words of the container's main process: PID 1 where there is one worker."""
    if found.before:
        return ["sh", "-c", found.line(replace_process=True)]
    words = found.command
    return [*words[:-1], "pid1"] if found.alone and words[-1] == "run" else words


def healthcheck(program: Program, setting: str, value: str) -> None:
    """A check that asks the application stays; what it means changes."""
    if value.strip().upper() in ("NONE", "DISABLE"):
        program.map(setting, value, f"{setting} {value}")
        return
    match = _URL.search(value)
    path = match[1] if match is not None and match[1] else ""
    asked = f"it still asks the application{' for ' + path if path else ''}, which may be busy"
    better = "http://127.0.0.1:9000/readyz of the supervisor answers in any case"
    program.map(setting, value, f"{setting} stays", f"{asked}; {better}", check=True)


def stop_signal(program: Program, setting: str, value: str) -> None:
    if value.upper() in TERM:
        program.map(setting, value, f"{setting} {value}")
    else:
        program.drop(setting, value, "TERM, the default, stops a pool without losing a request")
