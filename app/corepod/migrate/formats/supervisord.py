"""Programs of supervisord: the settings of those that are web applications, and their sections as they become."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from corepod.migrate import addresses, toml
from corepod.migrate.formats import sections, server
from corepod.migrate.formats.sections import SUPERVISORD
from corepod.migrate.formats.taking import use_or_ask
from corepod.migrate.model import Context, Fate, Item, MigrateError, Migration, Program

if TYPE_CHECKING:
    from corepod.migrate.formats.server import Found

KINDS = ("program:", "fcgi-program:", "eventlistener:")
STOP_WAIT = 10.0  # seconds, supervisord's default
_TERM = ("TERM", "SIGTERM", "")
_NAME = re.compile(r"%(?:\((\w+)\)\d*[sd]|%)")
_KEPT = {
    "directory": "corepod.toml belongs there",
    "user": "supervisord starts the pool as this user",
    "autorestart": "a worker that dies is replaced by the pool's supervisor; this is for the supervisor itself",
    "stopasgroup": "TERM goes to the supervisor and to its workers at once, which is an ordinary stop",
    "killasgroup": "nothing is left behind if the time for a stop is used up",
    "stdout_logfile": "the pool writes its log to standard output",
    "stdout_logfile_maxbytes": "",
    "startsecs": "a pool that can't start ends with exit code 2 or 4, mostly within this time",
}


def read(text: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where no section is a program."""
    listed = sections.entries(_without_comments(text), SUPERVISORD)
    migration = Migration(name, "supervisord")
    found = list(dict.fromkeys(one.section for one in listed if one.section.startswith(KINDS)))
    if not found:
        raise MigrateError(f"{name}: there is no section [program:NAME] or [fcgi-program:NAME]")
    tables = {section: {one.key: one.value for one in listed if one.section == section} for section in found}
    servers = {section: _found(section, keys, context, migration) for section, keys in tables.items()}
    result, several = text, sum(one is not None for one in servers.values()) > 1
    for section, server_ in servers.items():
        if server_ is None:
            continue
        if several:
            server_.command.append(toml.names([server_.program])[0])
        changes = _changes(section, tables[section], server_)
        _note_all(tables[section], changes, server_.program)
        migration.programs.append(server_.program)
        result = sections.changed(result, section, changes, SUPERVISORD)
        if section.startswith("fcgi-"):
            old = f"\n[{section}]"
            result = f"\n{result}".replace(old, old.replace("fcgi-", ""), 1)[1:]
    migration.notes += [
        f"[include] files={one.value}: migrate these, too" for one in listed if one.section == "include"
    ]
    if migration.programs:
        migration.files[Path(name).name] = result
        migration.notes.append("each corepod.toml goes to the folder that its program starts in (directory)")
    return migration


def _without_comments(text: str) -> str:
    """supervisord ends a value where " ;" begins."""
    return "\n".join(re.split(r"\s;", line, maxsplit=1)[0] for line in text.splitlines())


def _found(section: str, keys: dict[str, str], context: Context, migration: Migration) -> Found | None:
    """The server that the section starts; None for a program that stays, with a note."""
    name = section.partition(":")[2]
    command = keys.get("command", "").replace("\n", " ")
    environ = {**context.environ, **variables(keys.get("environment", ""))}
    names = {f"ENV_{key}": value for key, value in environ.items()}
    names |= {"here": str(context.folder.absolute()), "program_name": name, "process_num": "0", "group_name": name}
    folder = Path(_filled(keys.get("directory", ""), names) or context.folder)
    placed = replace(context, environ=environ, folder=folder if folder.is_dir() else context.folder)
    found = server.find(server.plain(_filled(command, names)), placed)
    if found is None:
        migration.notes.append(f"[{section}] stays as it is: {_what(command)}")
        return None
    found.program.name = name
    if "%(here)s" in command:
        found.command = [word.replace(str(context.folder.absolute()), "%(here)s") for word in found.command]
    found.command = [re.sub(r"\$(\w+)", r"%(ENV_\1)s", word) for word in found.command]
    return found


def _what(command: str) -> str:
    if server.development(command):
        return f"{command!r} is a server for development; corepod run MODULE:ATTRIBUTE serves the application itself"
    return f"it runs {server.kind(command) or repr(command)}, which is no web server of Python"


def variables(text: str) -> dict[str, str]:
    """KEY="value",KEY2=value2 as supervisord reads it."""
    pairs = re.findall(r"""([\w.]+)\s*=\s*("[^"]*"|'[^']*'|[^,\n]*)""", text)
    return {key: value.strip().strip("\"'") for key, value in pairs}


def _filled(text: str, names: dict[str, str]) -> str:
    """With what is known here; a %(ENV_X)s without a value becomes $X, as a shell would have it."""

    def value(match: re.Match[str]) -> str:
        if match[1] is None:
            return "%"
        return names.get(match[1], f"${match[1].removeprefix('ENV_')}")

    return _NAME.sub(value, text)


def _changes(section: str, keys: dict[str, str], found: Found) -> dict[str, str | None]:
    least = server.stop_timeout(found.program) + server.SPARE
    changes: dict[str, str | None] = {"command": " ".join(map(_word, found.command))}
    if found.before:
        changes["command"] = f"sh -c {shlex.quote(found.line())}"
    if _number(keys.get("stopwaitsecs"), STOP_WAIT) < least:
        changes["stopwaitsecs"] = f"{least:g}"
    if keys.get("stopsignal", "").strip().upper() not in _TERM:
        changes["stopsignal"] = "TERM"
    if "numprocs" in keys or "process_name" in keys:
        changes |= dict.fromkeys(("numprocs", "numprocs_start", "process_name"))
    if section.startswith("fcgi-"):
        changes |= dict.fromkeys(("socket", "socket_owner", "socket_mode", "socket_backlog"))
    return changes


def _word(word: str) -> str:
    """As a shell has it; what supervisord fills in needs no quotes."""
    return word if re.fullmatch(r"[\w@%+=:,./()-]+", word) else shlex.quote(word)


def _number(text: str | None, default: float) -> float:
    try:
        return float(text) if text is not None else default
    except ValueError:
        return default


def _note_all(keys: dict[str, str], changes: dict[str, str | None], program: Program) -> None:
    processes = int(_number(keys.get("numprocs"), 1))
    for key, value in keys.items():
        if key == "numprocs" and processes > 1:
            workers = program.settings.get("workers", 1)
            total = processes * workers if isinstance(workers, int) else workers
            program.items = [item for item in program.items if not item.ours.startswith("workers = ")]
            _bind_once(keys, program)
            use_or_ask(program, key, value, "workers", total, "one pool has all workers behind one address")
        elif key == "socket" and key in changes:
            program.items = [item for item in program.items if not item.ours.startswith("bind = ")]
            use_or_ask(program, key, value, "bind", [addresses.address(value)])
        elif key == "socket_mode" and key in changes:
            use_or_ask(program, key, value, "socket_mode", value)
        else:
            program.items.append(_item(key, value, changes, program))
    if "stopwaitsecs" in changes and "stopwaitsecs" not in keys:
        note = f"supervisord kills a program after {STOP_WAIT:g} s, and a stop may take longer (stop_timeout)"
        ours = f"stopwaitsecs={changes['stopwaitsecs']}"
        program.items.append(Item(Fate.MAPPED, "(added) stopwaitsecs", "", ours, note))


def _bind_once(keys: dict[str, str], program: Program) -> None:
    if "process_num" in keys.get("command", ""):
        program.ask(
            "command",
            keys["command"],
            "each process had an address of its own; name the one address of the pool (bind) to the proxy in front",
        )


def _item(key: str, value: str, changes: dict[str, str | None], program: Program) -> Item:
    if key not in changes:
        return Item(Fate.MAPPED, key, value, f"{key}={value}", _KEPT.get(key, ""))
    new = changes[key]
    if new is None:
        if key == "socket_owner":
            return Item(Fate.NEEDS_YOU, key, value, note="the socket belongs to the pool's user; set socket_mode")
        return Item(Fate.DROPPED, key, value, note="there is one process for supervisord, the pool")
    notes = {
        "stopsignal": "TERM stops a pool without losing a request; other signals have other meanings",
        "stopwaitsecs": f"raised: a stop may take {server.stop_timeout(program):g} s (stop_timeout)",
    }
    return Item(Fate.MAPPED, key, value, f"{key}={new}", notes.get(key, ""))
