"""PM2: its ecosystem file (JavaScript, JSON, YAML), `pm2 jlist`, and command lines."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

from corepod.migrate.formats import pm2_apps, pm2_sources, server
from corepod.migrate.model import Context, MigrateError, Migration, Program
from corepod.migrate.shell import PYTHON, SERVERS


def javascript(path: Path, context: Context) -> Migration:
    """An ecosystem file that is a program. Raises MigrateError."""
    return read(pm2_sources.evaluate(path, context), context, path.name)


def command_line(line: list[str], context: Context) -> Migration:
    """`pm2 start ...`. Raises MigrateError."""
    return read({"apps": [pm2_sources.started(line)]}, context, " ".join(line))


def read(content: Any, context: Context, name: str) -> Migration:
    """The content of an ecosystem file, or of `pm2 jlist`. Raises MigrateError where it has no applications."""
    migration = Migration(name, "PM2")
    if pm2_sources.is_listing(content):
        apps: Any = pm2_sources.from_listing(content, context)
    else:
        top = content if isinstance(content, dict) else {"apps": content}
        apps = top.get("apps", top if "script" in top else None)
        apps = [apps] if isinstance(apps, dict) else apps
        _beside(top, migration)
    if not isinstance(apps, list) or not all(isinstance(one, dict) for one in apps):
        raise MigrateError(f"{name}: there is no list `apps` with the applications of PM2")
    for number, app in enumerate(apps):
        program = _program(app, context, migration, f"app {number}")
        if program is not None:
            migration.programs.append(program)
    if migration.programs:
        migration.notes.append("pm2 start, reload, logs, ls and monit are corepod start, reload, logs, ps and top")
        migration.notes.append("pm2 startup and pm2 save: corepod systemd prints the units that start pools at boot")
    return migration


def _beside(top: dict[str, Any], migration: Migration) -> None:
    if "deploy" in top:
        migration.notes.append("deploy: copying code by ssh isn't corepod's; after it, `corepod reload` loads the code")
    for key in top:
        if "script" not in top and key not in ("apps", "deploy"):
            migration.notes.append(f"{key}: PM2 has no such section; it is left out")


def _program(app: dict[str, Any], context: Context, migration: Migration, place: str) -> Program | None:
    name = str(app.get("name") or PurePath(str(app.get("script", place))).stem)
    line, script = _line(app)
    if not line:
        migration.notes.append(f"{name}: it names no script, and is left out")
        return None
    folder = Path(context.folder, str(app.get("cwd", "")))
    environ = {**context.environ, **pm2_apps.texts(app.get("env"))}
    placed = replace(context, environ=environ, folder=folder if folder.is_dir() else context.folder)
    found = server.find(_script_text(script, placed) or line, placed)
    if found is None and not PYTHON.fullmatch(PurePath(line[0]).name):
        what = "isn't Python" if _is_node(app, line) else f"is no web server of Python ({' '.join(line)})"
        migration.notes.append(f"{name}: {what}: it stays with PM2")
        return None
    program = found.program if found else Program(name, "pm2")
    program.name = name
    if found is None:
        program.ask(
            "script",
            " ".join(line),
            "the script starts its server itself: name its application, app = MODULE:ATTRIBUTE; a script that serves "
            "no requests stays with PM2",
        )
    pm2_apps.settings(app, program, found is not None)
    return program


def _line(app: dict[str, Any]) -> tuple[list[str], str]:
    """What PM2 executes, as words, and the script."""
    script = str(app.get("script") or app.get("exec") or "")
    args = app.get("args", [])
    arguments = server.plain(args) if isinstance(args, str) else [str(one) for one in args or []]
    interpreter = str(app.get("interpreter") or app.get("exec_interpreter") or "")
    own = app.get("interpreter_args") or (app.get("node_args") if PYTHON.fullmatch(PurePath(interpreter).name) else "")
    options = server.plain(own) if isinstance(own, str) else [str(one) for one in own or []]
    line = server.plain(script) + arguments
    if not line:
        return [], script
    if not interpreter and script.endswith(".py"):
        interpreter = "python3"
    is_python = PYTHON.fullmatch(PurePath(interpreter).name) is not None
    if interpreter in ("", "none") or (is_python and PurePath(line[0]).name in SERVERS):
        return line, script
    if is_python and PurePath(line[0]).name.startswith("python"):
        return line, script
    if not is_python and PurePath(line[0]).name in SERVERS and "/" in interpreter:
        return line, script
    return [interpreter, *[one for one in options if one != "-u"], *line], script


def _script_text(script: str, context: Context) -> str:
    """The text of a shell script; empty where it is none, or isn't here."""
    path = context.folder / script
    if not script.endswith(".sh") or not path.is_file():
        return ""
    return "\n".join(one for one in path.read_text().splitlines() if not one.lstrip().startswith("#"))


def _is_node(app: dict[str, Any], line: list[str]) -> bool:
    return bool(server.kind(" ".join(line)) == "a Node program" or json.dumps(app.get("interpreter", "")) == '"node"')
