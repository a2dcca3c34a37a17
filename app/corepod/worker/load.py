"""Loads the application in this process, and tells apart what can go wrong with it."""

from __future__ import annotations

import os
import traceback
from typing import TYPE_CHECKING, Any

from corepod.contract.exits import EXIT_APP, EXIT_BOOT
from corepod.worker import logs
from corepod.worker.application.importer import AppNotFoundError, import_application

if TYPE_CHECKING:
    from types import TracebackType

    from corepod.worker.settings import WorkerSettings


class BootError(Exception):
    """The application can't be run. `kind` is that of the message Failed, `code` is the exit code."""

    def __init__(self, kind: str, code: int, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.kind, self.code, self.traceback = kind, code, traceback


def load_application(settings: WorkerSettings) -> Any:
    """Import the application from its folder, and adapt it to ASGI.

    Raises BootError.
    """
    logs.configure_application(settings)
    try:
        return import_application(settings)
    except AppNotFoundError as error:
        raise BootError("missing", EXIT_APP, str(error)) from None
    except BaseException as error:
        message = f"the application raised {type(error).__name__} while it was imported"
        raise BootError("exception", EXIT_BOOT, message, _application_traceback(error)) from None


def _application_traceback(error: BaseException) -> str:
    """The traceback without the frames of corepod and of the import machinery, which aren't at fault."""
    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    demo = os.path.join(ours, "demo", "")
    shown: list[TracebackType] = []
    frames = error.__traceback__
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if file.startswith(demo) or not (file.startswith(os.path.join(ours, "")) or "importlib" in file):
            shown.append(frames)
        frames = frames.tb_next
    for one, following in zip(shown, [*shown[1:], None], strict=True):
        one.tb_next = following
    return "".join(traceback.format_exception(type(error), error, shown[0] if shown else None))
