"""Log lines of a worker, each with its number, core and pid."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from corepod.contract import escaping
from corepod.contract.units import timestamp
from corepod.worker.identity import worker_fields
from corepod.worker.json_lines import JsonFormat, adopt_application

if TYPE_CHECKING:
    import asyncio

    from corepod.worker.settings import WorkerSettings


class ServerLogger(logging.Logger):
    """A logger that goes on whatever the application does to logging as a whole: dictConfig and fileConfig disable
    every existing logger unless told otherwise, and logging.disable silences all of them. A configuration that names
    this logger still changes it."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, value: bool) -> None:
        pass

    def isEnabledFor(self, level: int) -> bool:
        return level >= self.getEffectiveLevel()


def _server_logger(name: str) -> logging.Logger:
    logger = logging.getLogger(name)
    logger.__class__ = ServerLogger
    return logger


log = _server_logger("corepod")
access = _server_logger("corepod.access")


class TextFormat(logging.Formatter):
    """Lines like the supervisor's. `named` adds the worker's number, slot, core and pid, where the supervisor doesn't
    put them in front of every line (`log_prefix`)."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self._named = named

    def format(self, record: logging.LogRecord) -> str:
        # A client chooses what an exception says: none of its lines may pass for another entry of the log.
        text = escaping.entry(super().format(record))
        return f"{timestamp(record.created)} {record.levelname:7} {f'{_tag()} ' if self._named else ''}{text}"


class AccessFormat(logging.Formatter):
    """One line for each request, whatever the client has put into its path. It begins with what the format of the
    setting says, so that readers of access logs find what they know; who served it stands behind that."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self._named = named
        self._process, self._tag = 0, ""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        if not line.isprintable():
            line = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
        if not self._named:
            return line
        if self._process != os.getpid():  # forked: it is another worker now, and stays that one
            self._process, self._tag = os.getpid(), f" {_tag()}"
        return line + self._tag


def _tag() -> str:
    return "[" + " ".join(f"{key} {value}" for key, value in worker_fields().items()) + "]"


def configure_logging(settings: WorkerSettings) -> None:
    """Send the worker's own lines to standard error and the access log to standard output. The application's logging is
    left alone, but for its format where lines are JSON (see `json_lines.adopt_application`)."""
    json_lines = settings.log_format == "json"
    for logger, stream, where, text in (
        (log, sys.stderr, "stderr", TextFormat),
        (access, sys.stdout, "stdout", AccessFormat),
    ):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonFormat() if json_lines else text(named=where not in settings.prefixed))
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(settings.log_level.upper())
    access.setLevel("INFO")
    configure_application(settings)


def report_loop_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Log exceptions that nobody retrieves from tasks and callbacks also where the application has silenced asyncio's
    logger together with all others."""

    def report(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        logger = logging.getLogger("asyncio")
        if not (logger.disabled or logger.manager.disable >= logging.ERROR):
            loop.default_exception_handler(context)
            return
        about = [f"{key}: {context[key]!r}" for key in sorted(context) if key not in ("message", "exception")]
        log.error("\n".join([context.get("message", "unhandled exception"), *about]), exc_info=context.get("exception"))

    loop.set_exception_handler(report)


def configure_application(settings: WorkerSettings) -> None:
    """To be called again whenever code of the application may have configured its logging."""
    if settings.log_format == "json":
        adopt_application()
