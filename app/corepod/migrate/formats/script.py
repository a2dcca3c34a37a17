"""Shell scripts that start a server: entry points of containers, start.sh."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from corepod.migrate.formats import server
from corepod.migrate.model import Context, MigrateError, Migration

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.migrate.formats.server import Found

_ASSIGNED = re.compile(r"\s*(?:export\s+|readonly\s+|local\s+)?([A-Za-z_]\w*)=(\"[^\"]*\"|'[^']*'|\S*)\s*$")
_DEFAULTED = re.compile(r"\s*:\s+\"?\$\{([A-Za-z_]\w*):?=([^}]*)\}\"?\s*$")
_VALUE = re.compile(r"\$(?:\{(\w+)(?::?-([^{}]*))?\}|(\w+))")
_KEYWORDS = re.compile(r"^\s*(?:(?:then|else|do)\s+|[\w\-*|\"]+\)\s+)*")
_ENDS = re.compile(r"\s*(?:;;\s*)$")


def read(text: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where no line starts a server."""
    found = start(text, context)
    if found is None:
        raise MigrateError(f"{name}: no line starts gunicorn, uvicorn, granian or hypercorn")
    server_, first, last, others = found
    migration = Migration(name, "shell script", [server_.program])
    lines = text.splitlines()
    lines[first:last] = [replaced(lines[first:last], server_)]
    migration.files[PurePath(name).name] = "\n".join(lines) + "\n"
    migration.notes += [f"another line starts a server, too, and stays: {other}" for other in others]
    if server_.alone:
        migration.notes.append("as a container's main process, corepod pid1 in place of corepod run needs less memory")
    return migration


def start(text: str, context: Context) -> tuple[Found, int, int, list[str]] | None:
    """The server that the script starts, its lines, and other lines that start one. The last one counts that doesn't
    reload code, for scripts have a branch for development first or last."""
    variables: dict[str, str] = {}
    found: list[tuple[Found, int, int, str]] = []
    for first, last, line in logical(text):
        match = _ASSIGNED.match(line) or _DEFAULTED.match(line)
        if match is not None:
            value = match[2].strip("\"'")
            default = match.re is _DEFAULTED
            variables[match[1]] = (
                context.environ.get(match[1]) or value if default else _filled(value, context, variables)
            )
            continue
        bare = _ENDS.sub("", _KEYWORDS.sub("", line))
        try:
            one = server.find(bare, replace(context, environ={**context.environ, **variables}))
        except MigrateError:
            continue  # half of a construct over several lines
        if one is not None:
            found.append((one, first, last, bare.strip()))
    if not found:
        return None
    chosen = next((one for one in reversed(found) if not one[0].program.settings.get("reload")), found[-1])
    return *chosen[:3], [one[3] for one in found if one is not chosen]


def _filled(text: str, context: Context, variables: Mapping[str, str]) -> str:
    environ = {**context.environ, **variables}

    def value(match: re.Match[str]) -> str:
        return environ.get(match[1] or match[3]) or match[2] or ""

    return _VALUE.sub(value, text)


def logical(text: str) -> list[tuple[int, int, str]]:
    """First line, line after the last one, and text of each command; comments are left out."""
    lines = text.splitlines()
    found, at = [], 0
    while at < len(lines):
        first, parts = at, [lines[at]]
        at += 1
        if lines[first].lstrip().startswith("#"):
            continue
        while parts[-1].endswith("\\") and at < len(lines):
            parts[-1] = parts[-1][:-1]
            parts.append(lines[at])
            at += 1
        if text_ := " ".join(parts).strip():
            found.append((first, at, text_))
    return found


def replaced(lines: list[str], found: Found) -> str:
    """The lines of the server as one for corepod; what stood before it in a branch stays."""
    indent = re.match(r"\s*", lines[0])
    prefix = _KEYWORDS.match(lines[0])
    head = prefix[0] if prefix is not None and prefix[0].strip() else indent[0] if indent else ""
    tail = " ;;" if _ENDS.search(lines[-1]) else ""
    return f"{head}{found.line(replace_process=True)}{tail}"
