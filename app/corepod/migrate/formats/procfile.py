"""A Procfile, and start commands of hosting platforms in their own files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from corepod.migrate.formats import server
from corepod.migrate.model import Context, MigrateError, Migration

LINE = re.compile(r"^([A-Za-z0-9_-]+):\s+(.+)$", re.MULTILINE)
PLATFORM = (
    "PORT and WEB_CONCURRENCY of the platform are read where bind and workers aren't set",
    "the platform ends processes 10 to 30 seconds after TERM: keep stop_timeout below that (25 by default)",
)
# Keys under which files of platforms have the command of a web service.
_KEYS = ("startCommand", "start_command", "run_command", "runCommand", "start", "cmd", "app", "web", "release")
_BESIDE = ("release", "worker", "celery", "beat", "clock", "scheduler")


def read(text: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where no line starts a server."""
    migration = Migration(name, "Procfile")
    context = replace(context, platform=True)
    result = text
    for process, command in LINE.findall(text):
        found = None if process == "release" else server.find(command, context)
        if found is None:
            migration.notes.append(f"{process}: {command.strip()} stays as it is")
            continue
        if process != "web":
            found.program.name = process
        migration.programs.append(found.program)
        result = result.replace(command, found.line())
    if not migration.programs:
        names = ", ".join(process for process, _ in LINE.findall(text)) or "no process"
        raise MigrateError(f"{name}: no line starts gunicorn, uvicorn, granian or hypercorn (there is {names})")
    migration.files[PurePath(name).name] = result
    migration.notes += PLATFORM
    return migration


def commands(content: Any, context: Context, name: str) -> Migration | None:
    """Start commands in a platform's file (render.yaml, fly.toml, railway.json, app.yaml); None where there is none."""
    migration = Migration(name, "start command", notes=list(PLATFORM))
    context = replace(context, platform=True)
    for path, command in _commands(content, ""):
        found = None if path.endswith(_BESIDE) else server.find(command, context)
        if found is None:
            migration.notes.append(f"{path}: {command} stays as it is")
            continue
        migration.programs.append(found.program)
        migration.notes.append(f"{path}: {found.line()}")
    return migration if migration.programs else None


def _commands(content: Any, path: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        place = f"{path}.{key}" if path else str(key)
        if isinstance(value, str) and key in _KEYS:
            found.append((place, value))
        else:
            found += _commands(value, place)
    return found
