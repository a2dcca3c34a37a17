"""Which format a text has, by the name of its file and by its content."""

from __future__ import annotations

import re
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from corepod.migrate import commands
from corepod.migrate.formats import (
    compose,
    dockerfile,
    documents,
    pm2,
    pm2_sources,
    procfile,
    script,
    server,
    supervisord,
    systemd,
)
from corepod.migrate.formats.kubernetes import read as kubernetes
from corepod.migrate.model import Context, MigrateError, Migration

if TYPE_CHECKING:
    from collections.abc import Callable

    Reader = Callable[[str, Context, str], Migration]

LOOKED_FOR = (
    "a Procfile, a unit of systemd, supervisord's sections, PM2's ecosystem file or pm2 jlist, a manifest of "
    "Kubernetes, a Dockerfile, a compose file, a shell script, gunicorn.conf.py, or a command line of gunicorn, "
    "uvicorn, granian, hypercorn or pm2"
)
_UNIT = re.compile(r"^\s*\[(Service|Socket)\]\s*$", re.MULTILINE)
_PROGRAMS = re.compile(r"^\s*\[(fcgi-)?program:[^\]]+\]", re.MULTILINE)
_IMAGE = re.compile(r"^\s*FROM\s+\S+", re.MULTILINE | re.IGNORECASE)
_OBJECT = re.compile(r"^(- )?\s*[\"']?(apiVersion|kind)[\"']?\s*:", re.MULTILINE)
_ECOSYSTEM = re.compile(r"^\s*[\"']?apps[\"']?\s*:", re.MULTILINE)
_SERVICES = re.compile(r"^[\"']?services[\"']?\s*:", re.MULTILINE)
_JSON = re.compile(r"\{(?!\{)|\[\s*[\[{\"\]]")
JAVASCRIPT = (".js", ".cjs", ".mjs", ".ts")


def file(path: Path, context: Context) -> Migration:
    """Raises MigrateError where the file can't be read, or has no format that is known."""
    if path.suffix in JAVASCRIPT:
        return pm2.javascript(path, context)
    if path.suffix == ".py":
        return _python(path, context)
    try:
        content = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise MigrateError(f"{path} can't be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise MigrateError(f"{path} is no text in UTF-8; iconv -f latin1 -t utf-8 converts an older one") from None
    if not content.strip():
        raise MigrateError(f"{path} is empty")
    # What belongs to a unit is in the same folder.
    return text(content, context, str(path) if path.suffix == ".service" else path.name)


def text(content: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where no format fits."""
    reader = _by_name(name) or _by_content(content)
    if reader is not None:
        return reader(content, context, name)
    raise MigrateError(f"{name}: it isn't known what this is; it was looked for {LOOKED_FOR}")


def line(words_or_text: str, context: Context) -> Migration:
    """A command line. Raises MigrateError where it starts no server that is known."""
    words = server.plain(words_or_text)
    if words and PurePath(words[0]).name == "pm2":
        return pm2.command_line(words, context)
    found = server.find(words_or_text, context)
    if found is None:
        place = f"{words_or_text.strip()!r} is no file here ({context.folder})"
        raise MigrateError(f"{place}, and starts no {server.NAMES}; it was looked for {LOOKED_FOR}")
    return Migration(words_or_text, "command line", [found.program], notes=[f"in its place: {found.line()}"])


def _by_name(name: str) -> Reader | None:
    path = PurePath(name)
    low = path.name.lower()
    if low.startswith("procfile"):
        return procfile.read
    if path.suffix in (".service", ".socket"):
        return systemd.read
    if low.startswith(("dockerfile", "containerfile")) or path.suffix in (".dockerfile", ".containerfile"):
        return dockerfile.read
    if path.suffix == ".sh":
        return script.read
    if path.suffix in (".json", ".yaml", ".yml"):
        return _document
    return None


def _by_content(content: str) -> Reader | None:
    stripped = content.lstrip()
    if _PROGRAMS.search(content):
        return supervisord.read
    if _UNIT.search(content):
        return systemd.read
    if stripped.startswith("#!"):
        return script.read
    if _JSON.match(stripped) or any(one.search(content) for one in (_OBJECT, _ECOSYSTEM, _SERVICES)):
        return _document
    if _IMAGE.search(content):
        return dockerfile.read
    if re.search(r"^web:\s", content, re.MULTILINE):
        return procfile.read
    return None


def _document(content: str, context: Context, name: str) -> Migration:
    """JSON or YAML: by what is in it."""
    is_json = _JSON.match(content.lstrip()) is not None
    loaded = [documents.load_json(content, name)] if is_json else documents.load_all(content, name)
    try:
        return _loaded(loaded, context, name)
    except (AttributeError, KeyError, TypeError) as error:  # a list where a table belongs, and the like
        raise MigrateError(f"{name}: something in it has not the shape that its format says: {error}") from error


def _loaded(loaded: list[Any], context: Context, name: str) -> Migration:
    first: Any = loaded[0] if loaded else None
    if any(isinstance(one, dict) and "kind" in one and "apiVersion" in one for one in loaded):
        return kubernetes.read(loaded, context, name)
    if pm2_sources.is_listing(first) or (isinstance(first, dict) and ("apps" in first or "script" in first)):
        return pm2.read(first, context, name)
    if isinstance(first, dict) and isinstance(first.get("services"), dict):
        return compose.read(first, context, name)
    platform = procfile.commands(first, context, name)
    if platform is not None:
        return platform
    if isinstance(first, list) and first and all(isinstance(one, dict) and "script" in one for one in first):
        return pm2.read(first, context, name)
    raise MigrateError(
        f"{name}: it has no kind (Kubernetes), no apps (PM2), no services (compose) and no start command of a platform"
    )


def _python(path: Path, context: Context) -> Migration:
    program = commands.python(path, context)
    return Migration(path.name, "gunicorn.conf.py" if program.server == "gunicorn" else "Python", [program])
