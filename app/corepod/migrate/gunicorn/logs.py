"""gunicorn's logs."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    else:
        case.use(given, "access_log_format", str(given.value))


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
