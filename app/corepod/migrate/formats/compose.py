"""A compose file: the services that are web applications, and an override file for what changes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from corepod.config import envfile
from corepod.migrate.formats import containers, dockerfile, documents, server
from corepod.migrate.formats.documents import shown
from corepod.migrate.formats.taking import Taking
from corepod.migrate.model import Context, Fate, MigrateError, Migration

if TYPE_CHECKING:
    from corepod.migrate.formats.server import Found

OVERRIDE = "compose.override.yaml"
DEFAULT_STOP = 10.0  # seconds until a container is killed
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KEPT = {
    "environment": "the application's variables",
    "env_file": "the application's variables",
    "restart": "a worker that dies is replaced by the supervisor; this is for the supervisor itself",
    "working_dir": "corepod.toml belongs there",
    "user": "the pool runs as this user",
    "init": "corepod pid1 doesn't need it, and isn't disturbed by it",
    "volumes": "",
}


def read(content: dict[str, Any], context: Context, name: str) -> Migration:
    """Raises MigrateError where no service is a web application of Python."""
    migration = Migration(name, "compose")
    services = content.get("services")
    if not isinstance(services, dict):
        raise MigrateError(f"{name}: there are no services")
    override: dict[str, Any] = {}
    for service, settings in services.items():
        found = _service(settings or {}, context, migration, service)
        if found is None:
            continue
        changes = _settings(found, settings)
        found.program.name = service
        migration.programs.append(found.program)
        override[service] = changes
    if not migration.programs:
        raise MigrateError(f"{name}: no service starts gunicorn, uvicorn, granian or hypercorn ({', '.join(services)})")
    migration.files[OVERRIDE] = documents.dump({"services": override})
    migration.notes.append(f"{OVERRIDE} is read after the compose file; install corepod in the images")
    return migration


def _service(settings: dict[str, Any], context: Context, migration: Migration, name: str) -> Found | None:
    inner = replace(context, environ={**context.environ, **_environment(settings, context)})
    for key in ("command", "entrypoint"):
        command = settings.get(key)
        if command:
            line = server.plain(command) if isinstance(command, str) else [str(one) for one in command]
            found = server.find([one.replace("$$", "$") for one in line], inner)
            if found is not None:
                return found
    if settings.get("command") or "build" not in settings:
        what = shown(settings.get("command") or settings.get("image"))
        migration.notes.append(f"the service {name} stays as it is ({server.kind(what) or what})")
        return None
    return _built(settings["build"], inner, migration, name)


def _built(build: Any, context: Context, migration: Migration, name: str) -> Found | None:
    """What the service's Dockerfile starts."""
    where = {"context": build} if isinstance(build, str) else build
    folder = context.folder / str(where.get("context", "."))
    path = folder / str(where.get("dockerfile", "Dockerfile"))
    if not path.is_file():
        migration.notes.append(f"the service {name} starts what its image says; its Dockerfile isn't here ({path})")
        return None
    try:
        inner = dockerfile.read(path.read_text(), replace(context, folder=folder), path.name)
    except MigrateError as error:
        migration.notes.append(f"the service {name} stays as it is: {error}")
        return None
    migration.files.update({f"{name}/{file}": text for file, text in inner.files.items()})
    migration.notes += [f"{name}: {note}" for note in inner.notes]
    return server.Found(inner.programs[0], [])


def _environment(settings: dict[str, Any], context: Context) -> dict[str, str]:
    found: dict[str, str] = {}
    files = settings.get("env_file") or []
    for one in [files] if isinstance(files, str | dict) else files:
        path = context.folder / str(one.get("path") if isinstance(one, dict) else one)
        if path.is_file():
            try:
                found.update(envfile.read(str(path)))
            except (OSError, ValueError):
                continue
    given = settings.get("environment") or {}
    if isinstance(given, list):
        pairs = [str(one).partition("=") for one in given]
        return found | {name: value for name, equals, value in pairs if equals}
    return found | {str(name): str(value) for name, value in given.items() if value is not None}


def seconds(value: Any) -> float:
    """A duration of compose, such as 1m30s."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)", str(value))
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _settings(found: Found, settings: dict[str, Any]) -> dict[str, Any]:
    """An item for each key of the service; what changes of them."""
    program = found.program
    taking = Taking(program, settings)
    changes: dict[str, Any] = {}
    if found.command:
        changes["command"] = containers.command(found)
        for key in ("command", "entrypoint"):
            if key in taking:
                taking.note(Fate.MAPPED, key, shown(changes["command"]))
    least = server.stop_timeout(program) + server.SPARE
    given = seconds(taking.get("stop_grace_period")) if "stop_grace_period" in taking else DEFAULT_STOP
    if given < least:
        changes["stop_grace_period"] = f"{least:g}s"
        note = f"a stop may take {least - server.SPARE:g} s (stop_timeout); the container would be killed in it"
        taking.note(Fate.MAPPED, "stop_grace_period", f"stop_grace_period: {least:g}s", note)
    if "healthcheck" in taking:
        containers.healthcheck(program, "healthcheck", shown(taking.take("healthcheck")))
    if "stop_signal" in taking:
        value = str(taking.take("stop_signal"))
        containers.stop_signal(program, "stop_signal", value)
        if value.upper() not in containers.TERM:
            changes["stop_signal"] = "SIGTERM"
    _deploy(taking, program.settings.get("workers"))
    for key in list(taking.left):
        taking.keep(_KEPT.get(key, ""), key)
    return changes


def _deploy(taking: Taking, workers: Any) -> None:
    deploy = taking.get("deploy")
    limits = deploy.get("resources", {}).get("limits", {}) if isinstance(deploy, dict) else {}
    cpus = limits.get("cpus", taking.get("cpus"))
    if cpus is None or not isinstance(workers, int) or workers <= float(cpus):
        return
    key = "deploy" if "cpus" in limits else "cpus"
    note = f'{workers} workers share {cpus} cores; workers = "auto" is one for each that the limit allows'
    taking.note(Fate.CHECK, key, f"{key} stays", note)
