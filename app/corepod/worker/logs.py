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
    from corepod.worker.settings import WorkerSettings

log = logging.getLogger("corepod")


class TextFormat(logging.Formatter):
    """Lines like the supervisor's. `named` adds the worker's number, slot, core and pid, where the supervisor doesn't
    put them in front of every line (`log_prefix`)."""

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
    for name, stream, where, text in (
        ("corepod", sys.stderr, "stderr", TextFormat),
        ("corepod.access", sys.stdout, "stdout", AccessFormat),
    ):
        handler = logging.StreamHandler(stream)
        # As JSON the supervisor names the worker in a local pool.
        named = settings.log_format == "text" and where not in settings.prefixed
        handler.setFormatter(JsonFormat() if json_lines else text(named=named))
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(settings.log_level.upper())
    logging.getLogger("corepod.access").setLevel("INFO")


def _worker_fields() -> dict[str, Any]:
    number = {
        key: os.environ.get(name) for key, name in (("worker", ENV_WORKER), ("slot", ENV_SLOT), ("core", ENV_CORE))
    }
    return {**{key: int(value) for key, value in number.items() if value}, "pid": os.getpid()}


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
