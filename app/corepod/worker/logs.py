"""Log lines of a worker, each with its number, core and pid."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from corepod.contract.env import ENV_CORE, ENV_SLOT, ENV_WORKER

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
    """Lines like the supervisor's. `named` adds the worker's number, slot, core and pid, which in a local pool the
    supervisor puts in front of every line."""

    def __init__(self, named: bool) -> None:
        super().__init__()
        self._named = named

    def format(self, record: logging.LogRecord) -> str:
        tag = "".join(f"{key} {value} " for key, value in _worker_fields().items()) if self._named else ""
        text = super().format(record)
        return f"{_time(record)} {record.levelname:7} {f'[{tag.strip()}] ' if tag else ''}{text}"


class AccessFormat(TextFormat):
    """One line for each request, whatever the client has put into its path."""

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record)
        return line if line.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


class JsonFormat(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        message = super().format(record)
        return json.dumps(
            {"time": _time(record), "level": record.levelname.lower(), **_worker_fields(), "message": message}
        )


def configure_logging(settings: WorkerSettings) -> None:
    """Send the worker's own lines to standard error and the access log to standard output. The root logger, and so the
    application's logging, is left alone."""
    relayed = settings.profile == "run"
    json_lines = settings.log_format == "json" and not relayed
    for logger, stream, text in ((log, sys.stderr, TextFormat), (access, sys.stdout, AccessFormat)):
        handler = logging.StreamHandler(stream)
        handler.setFormatter(JsonFormat() if json_lines else text(named=not relayed))
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(settings.log_level.upper())
    access.setLevel("INFO")


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


def _worker_fields() -> dict[str, Any]:
    number = {
        key: os.environ.get(name) for key, name in (("worker", ENV_WORKER), ("slot", ENV_SLOT), ("core", ENV_CORE))
    }
    return {**{key: int(value) for key, value in number.items() if value}, "pid": os.getpid()}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
