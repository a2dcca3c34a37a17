"""The server in a command line, and the command line of corepod that takes its place."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import PurePath
from typing import TYPE_CHECKING

from corepod.migrate import commands, shell
from corepod.migrate.model import Context, MigrateError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.migrate.model import Program

STOP_TIMEOUT = 25.0  # default of the setting
SPARE = 5.0  # seconds more than stop_timeout that whoever stops a pool has to wait
NAMES = "gunicorn, uvicorn, granian or hypercorn"
_SERVER = re.compile("|".join((*shell.SERVERS, "fastapi")))
_ACTIVATED = re.compile(r"(?:source|\.)\s+(\S+)/activate\b")
_WHOLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
DEVELOPMENT = ("flask",)
NODE = ("node", "npm", "pnpm", "yarn", "npx", "bun", "deno", "next", "serve")
OTHERS = ("celery", "nginx", "rq", "dramatiq", "huey", "arq", "redis-server", "postgres", "cron", "crond")


@dataclass
class Found:
    """The server of a command line. `command` are the words of corepod in its place, with what has to stay in front of
    them; `before` are the commands that the same shell runs first."""

    program: Program
    command: list[str]
    before: list[str] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether there is one worker, for which a container's main process needs less memory."""
        return self.program.settings.get("workers") == 1

    def line(self, *, replace_process: bool = False) -> str:
        """The command line for a shell, which the pool replaces if that is asked for."""
        last = ("exec " if replace_process else "") + shlex.join(self.command)
        return " && ".join([*self.before, last])


def plain(text: str) -> list[str]:
    """The words of a command line that no shell reads. Raises MigrateError where quotes don't match."""
    try:
        return shlex.split(text.replace("\\\n", " "))
    except ValueError as error:
        raise MigrateError(f"the command line {text.strip()!r} can't be read: {error}") from None


def find(line: str | list[str], context: Context, variables: Mapping[str, str] | None = None) -> Found | None:
    """The server that a shell's text, or a list of words, starts; None where there is none.

    Raises MigrateError where the text can't be read, or what it names.
    """
    try:
        words = shell.split(line) if isinstance(line, str) else list(line)
    except ValueError as error:
        raise MigrateError(f"the command line {str(line).strip()!r} can't be read: {error}") from None
    inner = replace(context, environ={**context.environ, **(variables or {})})
    words = [part for word in words for part in _options(word, inner.environ)]
    program = commands.program(words, inner) if words else None
    if program is None:
        return None
    started = list(shell.launches(words, inner.environ))
    launch = next((one for one in started if one.program in commands.SERVERS), started[-1])
    kept = [word for one in launch.kept for word in shlex.split(one)]
    return Found(program, [*kept, *ours(words)], launch.before)


def _options(word: str, environ: Mapping[str, str]) -> list[str]:
    """A variable that has several words, as a shell puts them in; any other word as it is written."""
    match = _WHOLE.fullmatch(word)
    value = environ.get(match[1] or match[2], "") if match is not None else ""
    return shlex.split(value) if value.startswith("-") or " " in value else [word]


def ours(words: list[str]) -> list[str]:
    """corepod from the environment that the server is started from."""
    text = " ".join(words)
    listed = text.split()
    for at, word in enumerate(listed):
        path = PurePath(word)
        if shell.PYTHON.fullmatch(path.name) and "-m" in listed[at + 1 : at + 4]:
            return [word, "-m", "corepod", "run"]
        if _SERVER.fullmatch(path.name) and len(path.parts) > 1:
            return [str(path.with_name("corepod")), "run"]
        if _SERVER.fullmatch(path.name):
            break
    scripts = [word for word, after in pairwise(listed) if after.endswith(".py") and "/" in word]
    if scripts and shell.PYTHON.fullmatch(PurePath(scripts[-1]).name) and not any(map(_SERVER.search, listed)):
        return [scripts[-1], "-m", "corepod", "run"]
    activated = _ACTIVATED.search(text)
    return [f"{activated[1]}/corepod" if activated is not None else "corepod", "run"]


def stop_timeout(program: Program) -> float:
    return float(program.settings.get("stop_timeout", STOP_TIMEOUT))


def development(text: str) -> bool:
    """Whether a server for development is started."""
    return any(PurePath(word).name in DEVELOPMENT for word in text.split())


def kind(text: str) -> str:
    """What a program that isn't a web server of Python is, for a note."""
    for name in [PurePath(word).name for word in re.split(r"[\s'\"]+", text)]:
        if name in OTHERS:
            return name
        if name in NODE or name.endswith((".js", ".mjs", ".cjs", ".ts")):
            return "a Node program"
    return ""
