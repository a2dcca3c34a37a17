"""A unit of systemd: its settings, and the unit as it becomes, with only the lines changed that have to be."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from corepod.config.envfile import read as read_env
from corepod.contract.exits import EXIT_APP, EXIT_SETTINGS
from corepod.migrate.formats import sections, server, units
from corepod.migrate.formats.sections import SYSTEMD, Entry
from corepod.migrate.model import Context, Fate, Item, MigrateError, Migration, Program

if TYPE_CHECKING:
    from corepod.migrate.formats.server import Found

START_TIMEOUT = 300  # seconds, as `corepod systemd` has it: with Type=notify systemd waits until the pool is ready
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hr": 3600.0, "d": 86400.0}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)")
_COMMENTS = {
    "Type": "systemd learns when the pool is ready, reloads and stops",
    "KillMode": "the supervisor stops its workers itself, in order",
    "RestartPreventExitStatus": "bad settings and an application that isn't there don't get better by themselves",
    "TimeoutStopSec": "a stop may take as long as stop_timeout says, and systemd would kill the pool in it",
    "TimeoutStartSec": "with Type=notify systemd waits for the pool to be ready, where it didn't wait before",
}
_NOTES = {
    "ExecReload": "HUP loads the new code beside the old, and no request is lost",
    "User": "the supervisor and its workers run as this user",
    "WorkingDirectory": "corepod.toml belongs there",
    "Restart": "a worker that dies is replaced by the supervisor; this is for the supervisor itself",
    "LimitNOFILE": "workers inherit it",
}


def read(text: str, context: Context, name: str) -> Migration:
    """Raises MigrateError where the unit starts nothing that is known."""
    migration = Migration(PurePath(name).name, "systemd")
    text += units.drop_ins(context.folder / f"{name}.d", migration)
    listed = sections.entries(text, SYSTEMD)
    if not any(entry.section == "Service" for entry in listed):
        return _socket_alone(listed, migration)
    prefix, found, others = _started(listed, context, name)
    program = found.program
    program.name = PurePath(name).name.removesuffix(".service").removesuffix("@")
    found.command += units.specifiers(program)
    if PurePath(name).stem.endswith("@") and "name" not in program.settings:
        found.command += ["--name", f"{program.name}-%i"]
        program.map(
            "(template)", PurePath(name).name, f"--name {program.name}-%i", "each instance is a pool of its own"
        )
    changes = _changes(listed, program, prefix + " ".join(map(_word, found.command)))
    for other in others:
        program.ask("ExecStart", other, "a unit with Type=notify starts one command: move it to ExecStartPre")
    if found.before:
        migration.notes.append(f"move what the shell runs first to ExecStartPre= lines: {' && '.join(found.before)}")
    kept = [entry for entry in listed if entry.key != "ExecStart" or entry.value not in others]
    program.items += [_item(entry, changes, program) for entry in kept]
    program.items += [
        Item(Fate.MAPPED, f"(added) {key}", str(value), f"{key}={value}", _COMMENTS.get(key, ""))
        for key, value in changes.items()
        if not any(entry.key == key and entry.section == "Service" for entry in listed)
    ]
    _sockets(listed, program, context, name)
    migration.programs.append(program)
    migration.files[PurePath(name).name] = sections.changed(text, "Service", changes, SYSTEMD)
    migration.notes.append(f"corepod.toml goes to {_folder(listed) or 'the folder that the unit starts in'}")
    return migration


def _started(listed: list[Entry], context: Context, name: str) -> tuple[str, Found, list[str]]:
    """The prefix of the command that starts a server, the server, and the other commands; an empty one ends those
    before it."""
    lines = [entry.value for entry in listed if (entry.section, entry.key) == ("Service", "ExecStart")]
    starts = lines[len(lines) - lines[::-1].index("") :] if "" in lines else lines
    if not starts:
        raise MigrateError(f"{name}: there is no ExecStart= with a command in its section [Service]")
    placed = _placed(listed, context, _variables(listed, context))
    for start in starts:
        command = start.lstrip("@-:+!")
        if found := server.find(server.plain(command), placed):
            prefix = start[: len(start) - len(command)].replace("@", "")
            return prefix, found, [one for one in starts if one != start]
    command = starts[-1].lstrip("@-:+!")
    raise MigrateError(f"{name}: ExecStart={command}: {_no_server(command)}")


def seconds(span: str) -> float | None:
    """A time of systemd in seconds; None for infinity and 0, which is the same, and for what is no time."""
    found = _SPAN.findall(span)
    if not found or _SPAN.sub("", span).strip() or any(unit and unit not in _UNITS for _, unit in found):
        return None
    return sum(float(number) * _UNITS.get(unit, 1.0) for number, unit in found) or None


def _no_server(command: str) -> str:
    if server.development(command):
        return "a server for development is started; the application is what corepod run MODULE:ATTRIBUTE needs"
    return "no gunicorn, uvicorn, granian or hypercorn was found in it" + (
        f"; {server.kind(command)} stays as it is" if server.kind(command) else ""
    )


def _placed(listed: list[Entry], context: Context, variables: dict[str, str]) -> Context:
    folder = _folder(listed).lstrip("-")
    path = Path(folder) if folder and "%" not in folder and Path(folder).is_dir() else context.folder
    return replace(context, environ={**context.environ, **variables}, folder=path)


def _folder(listed: list[Entry]) -> str:
    return next((one.value for one in reversed(listed) if one.key == "WorkingDirectory"), "")


def _variables(listed: list[Entry], context: Context) -> dict[str, str]:
    """Of Environment= and of files that can be read here; files win, as systemd has it."""
    found: dict[str, str] = {}
    for entry in listed:
        if entry.key == "Environment":
            pairs = [word.partition("=") for word in server.plain(entry.value)]
            found.update({name: value for name, equals, value in pairs if equals})
    for entry in listed:
        path = context.folder / entry.value.lstrip("-")
        if entry.key == "EnvironmentFile" and entry.value and path.is_file():
            try:
                found.update(read_env(str(path)))
            except (OSError, ValueError):
                continue
    return found


def _changes(listed: list[Entry], program: Program, command: str) -> dict[str, str | None]:
    """What the section [Service] has in place of its own lines."""
    has = {entry.key: entry.value for entry in listed if entry.section == "Service"}
    least = server.stop_timeout(program) + server.SPARE
    changes: dict[str, str | None] = {"ExecStart": command}
    if has.get("Type") not in ("notify", "notify-reload"):
        changes["Type"] = "notify"
        changes["NotifyAccess"] = "main"
    start = has.get("TimeoutStartSec", has.get("TimeoutSec"))
    limit = seconds(start) if start is not None else 90.0  # systemd's default
    if limit is not None and limit < START_TIMEOUT and ("Type" in changes or start is None):
        changes["TimeoutStartSec"] = str(START_TIMEOUT)
    stop = has.get("TimeoutStopSec", has.get("TimeoutSec"))
    given = seconds(stop) if stop is not None else 90.0  # systemd's default
    if given is not None and given < least:
        changes["TimeoutStopSec"] = f"{least:g}"
    if has.get("KillMode") != "mixed":
        changes["KillMode"] = "mixed"
    if "PIDFile" in has:
        changes["PIDFile"] = None
    if "Restart" in has and has["Restart"] != "no":
        codes = has.get("RestartPreventExitStatus", "").split()
        ours = [str(code) for code in (EXIT_SETTINGS, EXIT_APP) if str(code) not in codes]
        if ours:
            changes["RestartPreventExitStatus"] = " ".join([*codes, *ours])
    stops = has.get("ExecStop", "")
    if stops:
        changes["ExecStop"] = None
    if has.get("KillSignal") not in (None, "TERM", "SIGTERM"):
        changes["KillSignal"] = None
    if "ExecReload" not in has and has.get("Type") != "notify-reload":
        changes["ExecReload"] = "/bin/kill -s HUP $MAINPID"
    if "ExecReload" in has and "HUP" not in has["ExecReload"].upper():
        changes["ExecReload"] = "/bin/kill -s HUP $MAINPID"
    return changes


def _item(entry: Entry, changes: dict[str, str | None], program: Program) -> Item:
    """What becomes of one line."""
    value = entry.value
    if entry.section != "Service" or entry.key not in changes:
        check = entry.key in ("ExecStartPre", "ExecStartPost")
        note = "see that it doesn't rely on what the old server wrote" if check else _NOTES.get(entry.key, "")
        return Item(Fate.CHECK if check else Fate.MAPPED, entry.key, value, f"{entry.key}={value}", note)
    new = changes[entry.key]
    if new is None:
        return Item(Fate.DROPPED, entry.key, value, note=_dropped(entry.key))
    note = _COMMENTS.get(entry.key, "")
    if entry.key == "TimeoutStopSec":
        note = (
            f"raised: a stop may take {server.stop_timeout(program):g} s (stop_timeout), and systemd would kill the "
            f"pool after {value} while it finishes requests"
        )
    return Item(Fate.MAPPED, entry.key, value, f"{entry.key}={new}", note)


def _dropped(key: str) -> str:
    return {
        "PIDFile": "systemd starts the supervisor itself, and knows its pid; commands find a pool by its name",
        "ExecStop": "systemd's TERM is what stops a pool without losing a request",
        "KillSignal": "TERM stops a pool without losing a request; QUIT stops it at once",
    }[key]


def _sockets(listed: list[Entry], program: Program, context: Context, name: str) -> None:
    """Sockets that systemd opens are used in place of `bind`."""
    own = f"{program.name}.socket"
    wanted = {unit for one in listed if one.key in ("Requires", "Sockets", "Wants") for unit in one.value.split()}
    units = sorted(unit for unit in wanted if unit.endswith(".socket"))
    beside = context.folder / PurePath(name).parent / own
    if not units and not beside.is_file():
        return
    listens = []
    if beside.is_file():
        listens = [one.value for one in sections.entries(beside.read_text(), SYSTEMD) if one.key == "ListenStream"]
    program.settings.pop("bind", None)
    why = "the sockets that systemd has opened are used; the old server ignored the address, too"
    program.items = [
        Item(Fate.DROPPED, item.setting, item.value, note=why) if item.ours.startswith("bind = ") else item
        for item in program.items
    ]
    shown = ", ".join(units or [own]) + (f" ({', '.join(listens)})" if listens else "")
    program.map("sockets", shown, "LISTEN_FDS", "the pool takes over the sockets that systemd has opened")


def _socket_alone(listed: list[Entry], migration: Migration) -> Migration:
    if not any(entry.section == "Socket" for entry in listed):
        raise MigrateError(f"{migration.source}: a unit has to have a section [Service] or [Socket]")
    migration.notes.append("the socket unit stays as it is: the pool takes over the sockets that systemd has opened")
    return migration


def _word(text: str) -> str:
    """An argument as ExecStart= wants it; % and $ are as they were in the unit."""
    if text and not set(text) & set(" \t\"'\\;"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
