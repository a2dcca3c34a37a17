"""Finds the program that a command line starts: behind shells, wrappers and variables."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from corepod.migrate.given import expanded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)
REDIRECTION = re.compile(r"\d*(?:>>?|<)(?:&\d|.+)?")
SHELLS = ("sh", "bash", "dash", "ash", "zsh")
PYTHON = re.compile(r"(python|pypy)[\d.]*")
SERVERS = ("gunicorn", "uvicorn", "granian", "hypercorn")
ENDS = ("&&", "||", ";", "&", "|")
# Words in front of a program that change nothing for it.
PLAIN = ("exec", "command", "nohup", "time", "setsid", "dumb-init", "tini", "catchsegv", "stdbuf", "unbuffer")
PREFIXES = {
    "poetry": "run",
    "uv": "run",
    "pipenv": "run",
    "pdm": "run",
    "hatch": "run",
    "rye": "run",
    "conda": "run",
    "micromamba": "run",
    "pixi": "run",
}
# Those with a user in front of the program.
AS_USER = ("gosu", "su-exec", "setpriv", "chpst", "sudo", "runuser")
# They change the process from inside, so that they stay in front of corepod.
KEPT = ("opentelemetry-instrument", "ddtrace-run", "newrelic-admin", "doppler", "dotenv", "aws-vault", "chamber")
VALUED = {
    "env": ("-u", "--unset", "-C", "--chdir", "-S"),
    "uv": ("--extra", "--group", "--with", "--python", "-p", "--env-file", "--directory", "--project", "--package"),
    "conda": ("-n", "--name", "-p", "--prefix"),
    "micromamba": ("-n", "--name", "-p", "--prefix"),
    "poetry": ("-C", "--directory", "-P", "--project"),
    "sudo": ("-u", "-g", "--user", "--group"),
    "runuser": ("-u", "-g"),
    "chpst": ("-u",),
    "stdbuf": ("-i", "-o", "-e"),
    "tini": ("-p", "-e"),
}


@dataclass
class Launch:
    """`program` is a name without its folder, or "file.py" where Python runs a file. `kept` are programs that have to
    stay in front of corepod, `before` commands that run earlier, `user` who runs it."""

    program: str
    arguments: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    folder: str = ""
    user: str = ""
    kept: list[str] = field(default_factory=list)
    before: list[str] = field(default_factory=list)


def launches(words: list[str], environ: Mapping[str, str], folder: Path | None = None) -> Iterator[Launch]:
    """Every program that the words start, in their order, with the variables and the folder that it gets."""
    variables: dict[str, str] = {}
    where = ""
    before: list[str] = []
    for command in _commands(words):
        launch = Launch("", [], dict(variables), where, before=list(before))
        rest = _unwrapped(command, launch)
        first = PurePosixPath(rest[0]).name if rest else ""
        if not rest:
            variables |= launch.variables
        elif first == "export":
            variables |= {m[1]: m[2] for word in rest[1:] if (m := ASSIGNMENT.fullmatch(word))}
        elif first == "cd" and len(rest) == 2:
            where = str(PurePosixPath(where) / expanded("cd", rest[1], {**environ, **variables}).value)
        elif first in SHELLS and (script := _script(rest[1:])) is not None:
            for inner in launches(split(script), environ, folder):
                inner.variables = {**launch.variables, **inner.variables}
                inner.folder = str(PurePosixPath(where) / inner.folder) if inner.folder else where
                inner.before = [*before, *inner.before]
                inner.kept = [*launch.kept, *inner.kept]
                inner.user = inner.user or launch.user
                yield inner
        elif first not in ("source", ".", "set", "umask", "ulimit", "trap", "true", ":"):
            launch.program, launch.arguments = _program(rest)
            yield launch
            before.append(shlex.join(command))


def split(text: str) -> list[str]:
    """Words of a script. Raises ValueError where a quote isn't closed."""
    text = text.replace("\\\n", " ")
    lines = " ; ".join(line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    lexer = shlex.shlex(_guarded(lines), posix=True, punctuation_chars=";&|")
    lexer.whitespace_split = True
    lexer.commenters = ""
    return [word.replace("\x00", " ").replace("\x01", "&") for word in lexer]


def _guarded(text: str) -> str:
    """Spaces in $( ... ) and ${ ... } don't end a word, and `2>&1` is no end of a command."""
    text = re.sub(r"\$\(\(?[^()]*(?:\([^()]*\)[^()]*)*\)?\)|\$\{[^}]*\}", lambda m: m[0].replace(" ", "\x00"), text)
    return re.sub(r">&", ">\x01", text)


def _commands(words: list[str]) -> Iterator[list[str]]:
    command: list[str] = []
    skip = False
    for word in words:
        ended = word in ENDS or (word.endswith(";") and len(word) > 1)
        if skip:
            skip = False
        elif REDIRECTION.fullmatch(word):
            skip = word.endswith((">", "<"))
        elif word not in ENDS:
            command.append(word.removesuffix(";"))
        if ended and command:
            yield command
            command = []
    if command:
        yield command


def _script(arguments: list[str]) -> str | None:
    """What a shell is given with -c; flags may be joined (-ec)."""
    for at, word in enumerate(arguments):
        if word.startswith("-") and not word.startswith("--") and "c" in word:
            return arguments[at + 1] if at + 1 < len(arguments) else None
        if not word.startswith("-"):
            return None
    return None


def _unwrapped(command: list[str], launch: Launch) -> list[str]:
    """The words from the program on."""
    rest = list(command)
    while rest:
        name = PurePosixPath(rest[0]).name
        if match := ASSIGNMENT.fullmatch(rest[0]):
            launch.variables[match[1]] = match[2]
            rest = rest[1:]
        elif name == "env" or name in PLAIN:
            rest = _after_flags(name, rest[1:])
        elif name in PREFIXES and PREFIXES[name] in rest:
            rest = _after_flags(name, rest[rest.index(PREFIXES[name]) + 1 :])
        elif name in AS_USER:
            rest = _as_user(name, rest[1:], launch)
        elif name in KEPT:
            rest = _kept(name, rest, launch)
        else:
            return rest
    return rest


def _after_flags(name: str, words: list[str]) -> list[str]:
    at = 0
    while at < len(words) and words[at].startswith("-"):
        if words[at] == "--":
            return words[at + 1 :]
        at += 2 if words[at] in VALUED.get(name, ()) else 1
    return words[at:]


def _as_user(name: str, words: list[str], launch: Launch) -> list[str]:
    if name in ("gosu", "su-exec"):
        launch.user = words[0].partition(":")[0] if words else ""
        return words[1:]
    for at, word in enumerate(words[:-1]):
        if not word.startswith("-"):
            break
        if word in ("-u", "--user"):
            launch.user = words[at + 1].partition(":")[0]
    return _after_flags(name, words)


def _kept(name: str, words: list[str], launch: Launch) -> list[str]:
    """The program behind a wrapper with flags that aren't known here: behind `--`, or the first known name."""
    rest = words[1:]
    for at, word in enumerate(rest):
        if word in ("--", "run-program", "exec") or (word == "run" and name in ("doppler", "dotenv")):
            continue
        if word.startswith("-"):
            continue
        if _known(word) or at + 1 == len(rest):
            launch.kept.append(shlex.join(words[: at + 1]))
            return rest[at:]
    return []


def _known(word: str) -> bool:
    name = PurePosixPath(word).name
    return name in (*SERVERS, "fastapi") or PYTHON.fullmatch(name) is not None


def _program(words: list[str]) -> tuple[str, list[str]]:
    name = PurePosixPath(words[0]).name
    if not PYTHON.fullmatch(name):
        return name, words[1:]
    rest = words[1:]
    while rest:
        if rest[0] == "-m" and len(rest) > 1:
            return rest[1].removesuffix(".__main__"), rest[2:]
        if rest[0].startswith("-m") and len(rest[0]) > 2:
            return rest[0][2:], rest[1:]
        if rest[0] in ("-W", "-X"):
            rest = rest[2:]
        elif rest[0].startswith("-"):
            rest = rest[1:]
        elif rest[0].endswith(".py"):
            return rest[0], rest[1:]
        else:
            return _program(rest)
    return name, []
