"""Readers of what stands around command lines: Procfiles, units, supervisord, PM2, Kubernetes, containers, scripts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.migrate.formats import detect, procfile
from corepod.migrate.model import MigrateError

if TYPE_CHECKING:
    from corepod.migrate.model import Context, Migration


def read(path_or_text: str, context: Context) -> Migration:
    """What a file, a text in one of the formats, or a command line asks for.

    A path is relative to the folder of the context. Raises MigrateError with what is wrong and what was looked for.
    """
    if "\n" in path_or_text.strip():
        return detect.text(path_or_text, context, "the text")
    path = Path(context.folder, path_or_text)
    try:
        there = path.is_file()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL: a command line
        there = False
    if not there:
        if path_or_text.lstrip().startswith(("{", "[")):
            return detect.text(path_or_text, context, "the text")
        return detect.line(path_or_text, context)
    return _toml(path, context) if path.suffix == ".toml" else detect.file(path, context)


def _toml(path: Path, context: Context) -> Migration:
    """A platform's file (fly.toml, railway.toml)."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise MigrateError(f"{path}: can't be read: {error}") from None
    migration = procfile.commands(content, context, path.name)
    if migration is None:
        raise MigrateError(f"{path.name}: no start command of gunicorn, uvicorn, granian or hypercorn is in it")
    return migration
