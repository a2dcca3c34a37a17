"""A Dockerfile: what its last stage starts."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from corepod.migrate.formats import containers, script, server
from corepod.migrate.model import Context, MigrateError, Migration, Program

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.migrate.formats.server import Found

_INSTRUCTION = re.compile(r"\s*([A-Za-z]+)\s+(.*)", re.DOTALL)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_BUILD = ("FROM", "RUN", "COPY", "ADD", "ARG", "LABEL", "MAINTAINER", "ONBUILD", "SHELL")
_KEPT = {
    "WORKDIR": "corepod.toml belongs there",
    "USER": "the pool runs as this user",
    "EXPOSE": "",
    "VOLUME": "",
    "ENV": "",
}


@dataclass(frozen=True)
class Instruction:
    name: str
    value: str
    first: int
    last: int


def read(text: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where the last stage starts no server."""
    return _read(text, context, name, {})[0]


def image(path: Path, context: Context, environ: Mapping[str, str], arguments: list[str]) -> Found:
    """What a container of the image starts, with the variables and arguments that it is given: these take the place of
    ENV and CMD. Raises MigrateError where that is no server."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise MigrateError(f"{path} can't be read: {error}") from None
    if arguments:
        text += f"\nCMD {json.dumps(arguments)}\n"
    return _read(text, replace(context, folder=path.parent), path.name, environ)[1]


def _read(text: str, context: Context, name: str, environ: Mapping[str, str]) -> tuple[Migration, Found]:
    stage = last_stage(instructions(text))
    commands = {one.name: one for one in stage if one.name in ("CMD", "ENTRYPOINT")}
    if not commands:
        raise MigrateError(f"{name}: its last stage has neither CMD nor ENTRYPOINT")
    inner = replace(context, environ={**context.environ, **variables(stage), **environ})
    migration = Migration(name, "Dockerfile")
    found, instead = _found(commands, inner, migration)
    if found is None:
        shown = "; ".join(f"{one.name} {one.value}" for one in commands.values())
        raise MigrateError(f"{name}: no gunicorn, uvicorn, granian or hypercorn was found in {shown}")
    migration.programs.append(found.program)
    for one in stage:
        _item(one, found, instead, found.program)
    migration.files[PurePath(name).name] = _changed(text, stage, instead)
    build = sorted({one.name for one in stage if one.name in _BUILD})
    migration.notes.append(f"{', '.join(build)}: these build the image, and stay; install corepod among its packages")
    least = server.stop_timeout(found.program) + server.SPARE
    migration.notes.append(f"docker stop kills after 10 s: docker stop --time {least:g}, or stop_timeout = 9")
    return migration, found


def instructions(text: str) -> list[Instruction]:
    lines = text.splitlines()
    found, at = [], 0
    while at < len(lines):
        first, parts = at, [lines[at]]
        at += 1
        if not parts[0].strip() or parts[0].lstrip().startswith("#"):
            continue
        while parts[-1].rstrip().endswith("\\") and at < len(lines):
            parts[-1] = parts[-1].rstrip()[:-1]
            if not lines[at].lstrip().startswith("#"):
                parts.append(lines[at])
            else:
                parts.append("\\")
            at += 1
        value = " ".join(part.strip() for part in parts if part.strip() not in ("", "\\"))
        for end in _HEREDOC.findall(value):
            while at < len(lines) and lines[at].strip() != end:
                at += 1
            at += 1
        if match := _INSTRUCTION.match(value):
            found.append(Instruction(match[1].upper(), match[2].strip(), first, at))
    return found


def last_stage(listed: list[Instruction]) -> list[Instruction]:
    """The instructions that count: those of the last stage, and of the stages that it begins from."""
    stages: dict[str, list[Instruction]] = {}
    current: list[Instruction] = []
    for one in listed:
        if one.name == "FROM":
            parts = [part for part in one.value.split() if not part.startswith("--")]
            current = list(stages.get(parts[0].lower(), []))
            if len(parts) > 2:
                stages[parts[2].lower()] = current
        current.append(one)
    return current


def variables(stage: list[Instruction]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in stage:
        if one.name != "ENV":
            continue
        parts = server.plain(one.value)
        if parts and "=" not in parts[0]:
            found[parts[0]] = one.value.partition(" ")[2].strip()
        else:
            found.update(part.partition("=")[::2] for part in parts)
    return found


def form(value: str) -> list[str] | str:
    """The words of the exec form; the text of the shell form."""
    if value.startswith("["):
        try:
            listed = json.loads(value)
        except ValueError:
            return value
        if isinstance(listed, list):
            return [str(one) for one in listed]
    return value


def _found(
    commands: dict[str, Instruction], context: Context, migration: Migration
) -> tuple[Found | None, dict[str, str | None]]:
    """The server, and the instructions that take the place of CMD and ENTRYPOINT."""
    cmd = form(commands["CMD"].value) if "CMD" in commands else []
    entry = form(commands["ENTRYPOINT"].value) if "ENTRYPOINT" in commands else []
    found = server.find(cmd, context) if cmd else None
    if found is not None:
        new: dict[str, str | None] = {"CMD": json.dumps(containers.command(found))}
        return found, {**new, "ENTRYPOINT": None} if _reaps(entry) else new
    whole = [*entry, *cmd] if isinstance(entry, list) and isinstance(cmd, list) else entry
    found = server.find(whole, context) if whole else None
    if found is not None:
        new = {"ENTRYPOINT": json.dumps(containers.command(found)), "CMD": None}
        return found, {name: value for name, value in new.items() if name in commands}
    return _in_script(entry or cmd, context, migration), {}


def _reaps(entry: list[str] | str) -> bool:
    """Whether it is only a PID 1 that reaps processes, as corepod does itself."""
    names = {PurePath(word).name for word in entry if not word.startswith("-")} if isinstance(entry, list) else set()
    return bool(names) and names <= {"tini", "dumb-init", "catatonit"}


def _in_script(value: list[str] | str, context: Context, migration: Migration) -> Found | None:
    """The server that a script beside the Dockerfile starts."""
    for word in value.split() if isinstance(value, str) else value:
        path = _beside(word, context.folder)
        found = script.start(path.read_text(errors="replace"), context) if path else None
        if path is not None and found is not None:
            inner = script.read(path.read_text(errors="replace"), context, path.name)
            migration.files.update(inner.files)
            migration.notes += [f"{path.name}: {note}" for note in inner.notes]
            return found[0]
    return None


def _beside(word: str, folder: Path) -> Path | None:
    """The file of the folder (or of one below) that is copied to this path of the image."""
    name = PurePath(word).name
    if not name.endswith((".sh", "entrypoint", "start", "run")):
        return None
    candidates = [folder / word.lstrip("/"), folder / name, *sorted(folder.glob(f"*/{name}"))]
    return next((one for one in candidates if one.is_file()), None)


def _item(one: Instruction, found: Found, instead: dict[str, str | None], program: Program) -> None:
    if one.name in _BUILD:
        return
    if one.name in instead:
        new = instead[one.name]
        if new is None:
            program.drop(one.name, one.value, "corepod does this itself, or has it as settings")
        else:
            program.map(one.name, one.value, f"{one.name} {new}")
    elif one.name == "HEALTHCHECK":
        containers.healthcheck(program, one.name, one.value)
    elif one.name == "STOPSIGNAL":
        containers.stop_signal(program, one.name, one.value)
    else:
        program.map(one.name, one.value, f"{one.name} {one.value}", _KEPT.get(one.name, ""))


def _changed(text: str, stage: list[Instruction], instead: dict[str, str | None]) -> str:
    lines: list[str | None] = list(text.splitlines())
    for one in stage:
        signal = one.name == "STOPSIGNAL" and one.value.upper() not in containers.TERM
        if one.name not in instead and not signal:
            continue
        lines[one.first : one.last] = [None] * (one.last - one.first)
        new = None if signal else instead[one.name]
        if new is not None:
            lines[one.first] = f"{one.name} {new}"
    return "\n".join(line for line in lines if line is not None) + "\n"
