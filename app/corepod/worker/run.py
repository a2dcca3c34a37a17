"""Runs a worker in an event loop of its own, and ends its process as an interpreter would."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from corepod.worker.worker import run_worker

if TYPE_CHECKING:
    from typing import NoReturn

    from corepod.worker.process import Inheritance
    from corepod.worker.settings import WorkerSettings


def become_worker(inheritance: Inheritance, *, warm: bool, live: bool) -> NoReturn:
    """Serve until told to stop, then end this process: the callers' frames are the template's, and must not run on."""
    code, settings = 1, inheritance.settings
    try:
        # None: as the interpreter was told, by PYTHONASYNCIODEBUG or -X dev.
        with asyncio.Runner(debug=settings.debug or None, loop_factory=_loop_factory(settings)) as runner:
            code = runner.run(run_worker(inheritance, warm=warm, live=live))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    end_process(code)


def _exit_code(error: SystemExit) -> int:
    if isinstance(error.code, int):
        return error.code
    if error.code is not None:
        print(error.code, file=sys.stderr)
    return 0 if error.code is None else 1


def end_process(code: int) -> NoReturn:
    """End as an interpreter does: threads are joined, the application's exit functions run, buffers are flushed."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def _loop_factory(settings: WorkerSettings) -> Any:
    if settings.loop == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None
