"""Log lines of a worker, each with its number, core and pid."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from corepod.contract import escaping
from corepod.contract.units import timestamp
from corepod.worker.access_file import AccessFile
from corepod.worker.identity import worker_fields
from corepod.worker.json_lines import JsonFormat, adopt_application

if TYPE_CHECKING:
    import asyncio

    from corepod.worker.access_atoms import Atoms
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
    """One line for each request, whatever the client has put into its path. It has what the format of the setting says
    and nothing else, for the readers of access logs."""

    def format(self, record: logging.LogRecord) -> str:
        return _one_line(super().format(record))

    def request(self, form: str, atoms: Atoms) -> str:
        """What `format` makes of the record of this request."""
        return _one_line(form % atoms)


def _one_line(text: str) -> str:
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def _tag() -> str:
    return "[" + " ".join(f"{key} {value}" for key, value in worker_fields().items()) + "]"


class AccessHandler(logging.StreamHandler[Any]):
    """Standard output, or the file. A request can be written without a record: that costs twice as much as the rest of
    its line."""

    def write(self, form: str, atoms: Atoms) -> None:
        """Do what `handle` does with the record of this request. Call it where `without_record` returned this handler.

        Raises what the stream raises, which `handle` reports instead.
        """
        line = self.formatter.request(form, atoms) + self.terminator  # type: ignore[union-attr]
        self.acquire()
        try:
            self.stream.write(line)
            self.stream.flush()
        finally:
            self.release()


_call_handlers = logging.Logger.callHandlers


def without_record(logger: logging.Logger) -> AccessHandler | None:
    """The logger's only handler, if it is ours and no one else would see or change a record on its way to it."""
    handlers = logger.handlers
    if len(handlers) != 1 or logger.filters or logger.propagate:
        return None
    handler = handlers[0]
    if type(handler) is not AccessHandler or handler.filters or handler.level > logging.INFO:
        return None
    # Libraries that collect logs replace these for all loggers.
    if logging.Logger.callHandlers is not _call_handlers or logging.getLogRecordFactory() is not logging.LogRecord:
        return None
    return handler if type(handler.formatter) in (AccessFormat, JsonFormat) else None


def configure_logging(settings: WorkerSettings) -> None:
    """Send the worker's own lines to standard error and the access log to standard output, or to its file. The
    application's logging is left alone, but for its format where lines are JSON: see `json_lines.adopt_application`."""
    json_lines = settings.log_format == "json"
    file = AccessFile(settings.access_log_file, log.error) if settings.access_log_file else None
    for logger, handler, text in (
        (log, logging.StreamHandler(sys.stderr), TextFormat("stderr" not in settings.prefixed)),
        (access, AccessHandler(file or sys.stdout), AccessFormat()),
    ):
        handler.setFormatter(JsonFormat() if json_lines else text)
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
