"""gunicorn's logs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from corepod.config.checks import ATOMS
from corepod.migrate.execute import MODULE
from corepod.migrate.gunicorn.source import Source
from corepod.migrate.gunicorn.table import LOG_FORMAT
from corepod.migrate.gunicorn.workers import ASGI, kind

if TYPE_CHECKING:
    from corepod.migrate.given import Given
    from corepod.migrate.rules import Case

OUT = ("-", "/dev/stdout", "/dev/stderr", "/proc/1/fd/1", "/proc/1/fd/2", "/dev/fd/1", "/dev/fd/2")
LEVELS = {"critical": "error", "fatal": "error", "warn": "warning", "trace": "debug", "notset": "debug"}


def accesslog(case: Case, given: Given) -> None:
    where = given.value
    if not where or where == "/dev/null":
        case.drop(given, "no access log, as by default")
        return
    if where in OUT:
        case.use(given, "access_log", True)
    else:
        case.program.settings["access_log"] = True
        case.use(given, "access_log_file", str(where), "USR2 opens the file anew, for logrotate")
    if "access_log_format" not in case.given and kind(case) != ASGI:
        case.program.settings["access_log_format"] = LOG_FORMAT


def access_log_format(case: Case, given: Given) -> None:
    if not case.value("accesslog"):
        case.drop(given, "has no effect without an access log")
    elif kind(case) == ASGI:
        case.drop(given, "uvicorn's workers never used it")
    elif unknown := [atom for atom in re.findall(r"%\(([^)]*)\)", str(given.value)) if not _is_atom(atom)]:
        case.ask(given, f"there is no %({unknown[0]})s in corepod; the atoms are those of gunicorn's documentation")
    else:
        case.use(given, "access_log_format", str(given.value))


def _is_atom(name: str) -> bool:
    return name in ATOMS or re.fullmatch(r"\{[^{}]+\}[ioe]", name) is not None


def errorlog(case: Case, given: Given) -> None:
    where = given.value
    if not where or where in OUT:
        case.drop(given, "the log goes to standard error, as by default")
    elif where == "/dev/null":
        case.ask(given, "a log that nobody reads: log_level = error is as near as it gets")
    else:
        note = "has the lines of workers, and what they print, too; log_max_size bounds it, USR2 opens it anew"
        case.use(given, "log_file", str(where), note)


def loglevel(case: Case, given: Given) -> None:
    level = str(given.value).lower()
    case.use(given, "log_level", LEVELS.get(level, level))


def logger_class(case: Case, given: Given) -> None:
    """Own classes drop the lines of probes, write JSON, or send metrics."""
    name = str(given.value)
    skipped = sorted(set(_source(case, name).skipped()))
    if name.endswith("statsd.Statsd"):
        case.ask(given, "corepod has no statsd: Prometheus reads /metrics of the admin port")
    elif skipped:
        case.use(given, "access_log_skip", skipped, "requests of these paths aren't logged", check=True)
    elif "json" in name.lower():
        case.use(given, "log_format", "json", "one JSON object a line, with corepod's names of fields", check=True)
    else:
        what = "requests to leave out are access_log_skip, the format is log_format and access_log_format"
        case.ask(given, f"a class of its own that writes the log: {what}")


def _source(case: Case, name: str) -> Source:
    """The source of the class: the file itself, or a module in its folder."""
    module = name.rpartition(".")[0]
    if case.source is not None and module == MODULE:
        return case.source
    path = case.context.folder / f"{module.replace('.', '/')}.py"
    try:
        return Source(path.read_text(encoding="utf-8") if module and path.is_file() else "")
    except (OSError, UnicodeDecodeError):
        return Source()
