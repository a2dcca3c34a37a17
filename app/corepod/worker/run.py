"""Runs a worker's life in an event loop, and ends its process as an interpreter would."""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

from corepod.worker.life import live_and_serve

if TYPE_CHECKING:
    from typing import NoReturn

    from corepod.worker.process import Birth


def become_worker(birth: Birth, *, warm: bool, live: bool) -> NoReturn:
    """Serve until told to stop, then end this process: nothing of the template's own stack may run in it."""
    code = 1
    try:
        with asyncio.Runner(debug=birth.settings["debug"], loop_factory=_loop_factory(birth.settings)) as runner:
            code = runner.run(live_and_serve(birth, warm=warm, live=live))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    _end(code)


def _exit_code(error: SystemExit) -> int:
    if isinstance(error.code, int):
        return error.code
    if error.code is not None:
        print(error.code, file=sys.stderr)
    return 0 if error.code is None else 1


def _end(code: int) -> NoReturn:
    # What an interpreter does at its end, for the sake of the application's atexit functions and buffers.
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def _loop_factory(settings: dict[str, Any]) -> Any:
    if settings["loop"] == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None
