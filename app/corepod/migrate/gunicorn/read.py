"""What gunicorn is told: by its file, GUNICORN_CMD_ARGS and its command line, the last one taking precedence."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from corepod.migrate.flags import parse
from corepod.migrate.given import Given, expanded
from corepod.migrate.gunicorn import file, mapping, workers
from corepod.migrate.gunicorn.table import DEFAULTS, FLAGS, LISTS
from corepod.migrate.model import Context, Program
from corepod.migrate.rules import Case, apply
from corepod.migrate.server import application

if TYPE_CHECKING:
    from collections.abc import Mapping

    from corepod.migrate.gunicorn.source import Source


def program(words: list[str], context: Context) -> Program:
    """The command line behind the word gunicorn."""
    told = Program("", "gunicorn")
    flags: dict[str, Given] = {}
    positional: list[str] = []
    for place, arguments in (
        ("GUNICORN_CMD_ARGS", shlex.split(context.environ.get("GUNICORN_CMD_ARGS", ""))),
        ("", words),
    ):
        parsed = parse(arguments, FLAGS)
        for name, (flag, values) in parsed.given.items():
            flags[name] = _flag(f"{flag} in {place}" if place else flag, name, values, context.environ)
        for word in parsed.unknown:
            told.ask(word, place, "gunicorn's versions 20 to 27 have no such flag")
        positional = parsed.words or positional
    if positional:
        flags["wsgi_app"] = expanded("application", positional[0], context.environ)
    config = str(flags["config"].value) if "config" in flags else file.default(context)
    read = file.File(config, context) if config else None
    convert(told, {**(read.given if read else {}), **flags}, context, read.source if read else None)
    if read:
        read.report(told)
    return told


def convert(told: Program, given: dict[str, Given], context: Context, source: Source | None = None) -> None:
    """Add what becomes of all that is given."""
    case = Case(told, context, source=source)
    for name, one in given.items():
        if name == "config":
            continue
        if one.value is None or (name in DEFAULTS and one.value == DEFAULTS[name]):
            told.drop(one.setting, one.text, "gunicorn's default")
        elif name == "wsgi_app":
            application(case, one)
        else:
            case.given[name] = one
    allowed = context.environ.get("FORWARDED_ALLOW_IPS")
    if allowed and "forwarded_allow_ips" not in given:
        case.given["forwarded_allow_ips"] = Given("FORWARDED_ALLOW_IPS", allowed, allowed)
    apply(case, mapping.RULES)
    workers.unset(case)
    if "umask" not in case.given and any(word.startswith("unix:") for word in told.settings.get("bind", [])):
        mapping.umask(case, Given("umask", 0, "not given: 0"))


def _flag(flag: str, name: str, values: list[str], environ: Mapping[str, str]) -> Given:
    if name not in LISTS:
        return _typed(name, expanded(flag, values[-1], environ))
    parts = [expanded(flag, value, environ) for value in values]
    value: list[Any] = [part.value for part in parts]
    reads = tuple(variable for part in parts for variable in part.reads)
    missing = tuple(variable for part in parts for variable in part.missing)
    return Given(flag, value, " ".join(values), reads, missing)


def _typed(name: str, given: Given) -> Given:
    """With the type of the setting's default, which is compared with it."""
    default = DEFAULTS.get(name)
    if isinstance(default, bool):
        return replace(given, value=given.truth)
    if isinstance(default, int) and not given.cores:
        try:
            return replace(given, value=given.count)
        except ValueError:
            return given
    return given
