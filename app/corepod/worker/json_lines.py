"""One JSON object for each record of `logging`: those of corepod, of the access log, and of the application."""

from __future__ import annotations

import functools
import json
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from corepod.contract import escaping
from corepod.contract.units import timestamp
from corepod.worker.access_atoms import Atoms
from corepod.worker.identity import worker_fields

if TYPE_CHECKING:
    from collections.abc import Iterable

# What every record has; what is beyond that was given as `extra`.
_STANDARD = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}
# Formats that nobody has chosen: that of logging.basicConfig(), and that of Flask's logger.
_DEFAULT_FORMATS = (logging.BASIC_FORMAT, "[%(asctime)s] %(levelname)s in %(module)s: %(message)s")

_encode = json.JSONEncoder(default=str, allow_nan=False).encode  # json.dumps would make an encoder for each line


class JsonFormat(logging.Formatter):
    """Time, level, logger, the worker's identity, message; then what was given as `extra`, and the exception."""

    def __init__(self) -> None:
        super().__init__()
        self._process, self._worker = 0, dict[str, Any]()

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": timestamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            **worker_fields(),
            "message": escaping.lines(record.getMessage()),
        }
        if record.exc_info and record.exc_info[0]:
            entry["exception"] = escaping.lines(self.formatException(record.exc_info))
        if record.stack_info:
            entry["stack"] = self.formatStack(record.stack_info)
        if isinstance(record.args, Atoms):
            entry |= record.args.fields()
        # A field of the application's must not pass for one of ours.
        extra = {k: v for k, v in vars(record).items() if k not in _STANDARD}
        entry |= {f"{key}_" if key in entry else key: value for key, value in extra.items()}
        return _dump(entry)

    def request(self, form: str, atoms: Atoms) -> str:
        """What `format` makes of the record of this request."""
        if self._process != os.getpid():  # forked: it is another worker now, and stays that one
            self._process, self._worker = os.getpid(), worker_fields()
        head = {"time": timestamp(), "level": "info", "logger": "corepod.access", **self._worker}
        return _dump({**head, "message": escaping.lines(form % atoms), **atoms.fields()})


def _dump(entry: dict[str, Any]) -> str:
    try:
        return _encode(entry)
    except (ValueError, TypeError, RecursionError):  # NaN, a circle, keys that are no text
        plain = {k: v if isinstance(v, str | int | None) else repr(v) for k, v in entry.items()}
        return json.dumps(plain)


def adopt_application() -> None:
    """Records of an application that has left logging alone become JSON, too: those without any handler, and those of
    handlers on standard output or error that still have the format of `logging.basicConfig()`. A format that the
    application has chosen stays as it is, and so do the levels: which records are shown is the application's decision.
    """
    logging.basicConfig = _basic_config  # what an application logs while it is imported counts, too
    for handler in _console_handlers():
        form = handler.formatter
        if form is None or (type(form) is logging.Formatter and form._fmt in _DEFAULT_FORMATS):
            handler.setFormatter(JsonFormat())


_pythons_own = logging.basicConfig


@functools.wraps(_pythons_own)
def _basic_config(**options: Any) -> None:
    _pythons_own(**options)
    adopt_application()


def _console_handlers() -> Iterable[logging.Handler]:
    if logging.lastResort is not None:
        yield logging.lastResort
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and handler.stream in (sys.stdout, sys.stderr):
            yield handler
    if flask := sys.modules.get("flask.logging"):
        yield flask.default_handler  # added to a logger at its first use, which may be in a request
