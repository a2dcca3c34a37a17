"""Loads the application in this process, and tells apart what can go wrong with it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from corepod.contract.exits import EXIT_APP, EXIT_BOOT
from corepod.worker import logs
from corepod.worker.application.development import Broken
from corepod.worker.application.importer import AppNotFoundError, import_application
from corepod.worker.application.tracebacks import application_traceback

if TYPE_CHECKING:
    from corepod.worker.settings import WorkerSettings


class BootError(Exception):
    """The application can't be run. `kind` is that of the message Failed, `code` is the exit code."""

    def __init__(self, kind: str, code: int, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind, self.code, self.traceback = kind, code, traceback


def load_application(settings: WorkerSettings, *, forgiving: bool = False) -> Any:
    """Import the application from its folder, and adapt it to ASGI. With `reload` one that raises is loaded as a page
    that shows its traceback; `forgiving`: so is one that isn't there.

    Raises BootError.
    """
    if settings.reload:
        importlib.invalidate_caches()  # a module may have come since the template looked into its folder
    try:
        return _load(settings)
    except BootError as error:
        if settings.reload and (forgiving or error.kind != "missing"):
            return Broken(str(error), error.traceback)
        raise


def _load(settings: WorkerSettings) -> Any:
    logs.configure_application(settings)
    try:
        return import_application(settings)
    except AppNotFoundError as error:
        raise BootError("missing", EXIT_APP, str(error)) from None
    except BaseException as error:
        message = f"the application raised {type(error).__name__} while it was imported"
        kind = "memory" if isinstance(error, MemoryError) else "exception"
        raise BootError(kind, EXIT_BOOT, message, application_traceback(error)) from None
