"""What a command line that starts a web server becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from corepod.migrate import django, fastapi, granian, hypercorn, script, uvicorn
from corepod.migrate.gunicorn import read as gunicorn
from corepod.migrate.shell import Launch, launches

if TYPE_CHECKING:
    from pathlib import Path

    from corepod.migrate.model import Context, Program

Reader = Callable[[list[str], "Context"], "Program | None"]
SERVERS: dict[str, Reader] = {
    "gunicorn": gunicorn.program,
    "gunicorn.app.wsgiapp": gunicorn.program,
    "uvicorn": uvicorn.SERVER.program,
    "granian": granian.SERVER.program,
    "hypercorn": hypercorn.SERVER.program,
    "fastapi": fastapi.program,
    "django": django.program,
    "django-admin": django.program,
}


def program(words: list[str], context: Context) -> Program | None:
    """The words of a command line, in a shell or behind a wrapper; None where it starts no web server that is known.

    Variables that a shell would put in may still be in them ($PORT, ${PORT:-8000}): they are read from the context.
    """
    for launch in launches(words, context.environ):
        server = SERVERS.get(launch.program)
        if launch.program.endswith(".py"):
            server = _script(launch.program)
        if server and (told := _told(launch, server, context)):
            return told
    return None


def _script(file: str) -> Reader:
    def read(words: list[str], context: Context) -> Program | None:
        return django.program(words, context, file) or script.program(context.folder / file, context)

    return read


def _told(launch: Launch, server: Reader, context: Context) -> Program | None:
    folder = context.folder / launch.folder
    inside = replace(context, environ={**context.environ, **launch.variables}, folder=folder)
    told = server(launch.arguments, inside)
    if told is None:
        return None
    for name, value in launch.variables.items():
        told.variables.setdefault(name, value)
    if launch.folder and "chdir" not in told.settings:
        told.use("cd", launch.folder, "chdir", launch.folder)
    if launch.user and "user" not in told.settings:
        told.use("user", launch.user, "user", launch.user)
    for wrapper in launch.kept:
        told.map(
            wrapper, "", f"{wrapper} corepod run", "stays in front of corepod, and changes it from inside", check=True
        )
    for command in launch.before:
        told.map(command, "", command, "runs before corepod run as it ran before the server", check=True)
    return told


def python(path: Path, context: Context) -> Program:
    """A file that is gunicorn's configuration, or starts a server itself. Raises MigrateError.

    gunicorn runs in the folder that it is started in: the context's, where the file is in there.
    """
    if path.name != "gunicorn.conf.py" and (told := script.program(path, context)):
        return told
    path = (context.folder / path).resolve()
    inside = path.is_relative_to(context.folder.resolve())
    folder = context.folder if inside else path.parent
    return gunicorn.program(["-c", str(path)], replace(context, folder=folder))
