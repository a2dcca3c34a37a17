"""What a command line that starts a web server becomes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from corepod.migrate import uvicorn
from corepod.migrate.gunicorn import read as gunicorn
from corepod.migrate.shell import Launch, launches

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.migrate.model import Context, Program

SERVERS: dict[str, Callable[[list[str], Context], Program]] = {
    "gunicorn": gunicorn.program,
    "gunicorn.app.wsgiapp": gunicorn.program,
    "uvicorn": uvicorn.program,
}


def program(words: list[str], context: Context) -> Program | None:
    """The words of a command line, in a shell or behind a wrapper; None where it starts no web server that is known.

    Variables that a shell would put in may still be in them ($PORT, ${PORT:-8000}): they are read from the context.
    """
    for launch in launches(words, context.environ):
        if server := SERVERS.get(launch.program):
            return _told(launch, server, context)
    return None


def _told(launch: Launch, server: Callable[[list[str], Context], Program], context: Context) -> Program:
    folder = context.folder / launch.folder
    inside = replace(context, environ={**context.environ, **launch.variables}, folder=folder)
    told = server(launch.arguments, inside)
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
