"""Readers of what stands around command lines: Procfiles, units, supervisord, PM2, Kubernetes, containers, scripts."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path

from corepod.migrate.formats import detect, procfile
from corepod.migrate.model import Context, MigrateError, Migration


def read(path_or_text: str, context: Context) -> Migration:
    """What a file, a text in one of the formats, or a command line asks for.

    A path is relative to the folder of the context. Raises MigrateError with what is wrong and what was looked for.
    """
    migration = _read(path_or_text, context)
    for program in migration.programs:
        migration.files.update(program.files)
    return migration


def read_all(sources: list[str], context: Context) -> Migration:
    """Several files or texts as one. A Dockerfile beside manifests says what the containers of its image start, where
    the manifest doesn't; it has no program of its own then. Raises MigrateError as `read` does."""
    each = [read(source, context) for source in sources]
    if len(each) == 1:
        return each[0]
    manifests = any(one.kind == "Kubernetes" for one in each)
    both = list(zip(sources, each, strict=True))
    images = tuple(Path(context.folder, source) for source, one in both if one.kind == "Dockerfile")
    if manifests and images:
        inner = replace(context, images=images)
        each = [read(source, inner) if one.kind == "Kubernetes" else one for source, one in both]
    return Migration(
        ", ".join(one.source for one in each),
        ", ".join(dict.fromkeys(one.kind for one in each)),
        [program for one in each if not (manifests and one.kind == "Dockerfile") for program in one.programs],
        {name: text for one in each for name, text in one.files.items()},
        [note for one in each for note in one.notes],
    )


def _read(path_or_text: str, context: Context) -> Migration:
    if "\n" in path_or_text.strip():
        return detect.text(path_or_text, context, "the text")
    path = Path(context.folder, path_or_text)
    try:
        if path_or_text and path.is_dir():
            raise MigrateError(f"{path} is a folder; name the file in it")
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
