"""The end of a worker's process: as an interpreter ends, but within a time, whatever the application left running."""

from __future__ import annotations

import atexit
import os
import sys
import threading
import time
from typing import TYPE_CHECKING

from corepod.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import NoReturn

MARGIN = 0.3  # seconds before the supervisor would kill it
LOOK = 0.1  # seconds between two looks at what is waited for
TOLD_AFTER = 1.0  # seconds of waiting after which the log says what is waited for


class ProcessEnd:
    """Threads are joined, the application's atexit functions run, buffers are flushed. `code` is the exit code."""

    def __init__(self, patience: float) -> None:
        """`patience` bounds an end that the supervisor hasn't asked for, in seconds."""
        self.code = 1
        self._patience = patience
        self._joined = threading.Event()
        self._last = threading.Lock()  # taken by the thread that ends the process

    def begin(
        self, stop_by: float | None, all_hang: Callable[[list[threading.Thread]], bool] = lambda threads: False
    ) -> None:
        """The loop has done its work. `stop_by`: when the supervisor kills this process, None where it hasn't said so.
        `all_hang` says of all threads that are left whether waiting for them is in vain.

        Closing the loop joins threads, too, and neither that nor the interpreter's own wait has a limit.
        """
        left = self._patience if stop_by is None else stop_by - MARGIN - time.monotonic()
        try:
            threading.Thread(
                target=self._watch, args=(max(0.0, left), all_hang), name="corepod-end", daemon=True
            ).start()
        except RuntimeError:
            pass  # no thread to be had: then the supervisor's deadline is the limit

    def finish(self) -> NoReturn:
        """Called in the main thread."""
        try:
            threading._shutdown()  # type: ignore[attr-defined]
        except BaseException:
            sys.excepthook(*sys.exc_info())
        self._joined.set()
        self._exit()

    def _watch(self, left: float, all_hang: Callable[[list[threading.Thread]], bool]) -> None:
        end, told_at = time.monotonic() + left, time.monotonic() + TOLD_AFTER
        while (now := time.monotonic()) < end and not all_hang(_threads()):
            if now >= told_at:
                told_at = end
                log.info("waiting up to %.0f s for %s", end - now, _what_runs())
            if self._joined.wait(min(LOOK, end - now)):
                return
        log.warning("%s did not end by itself and is cut off", _what_runs())
        self._exit()

    def _exit(self) -> NoReturn:
        self._last.acquire()  # for good: a second one waits here until the process is gone
        try:
            atexit._run_exitfuncs()
            sys.stdout.flush()
            sys.stderr.flush()
        except BaseException:
            sys.excepthook(*sys.exc_info())
        os._exit(self.code)


def exit_code(error: SystemExit | KeyboardInterrupt) -> int:
    """The code of a process that ends with this exception, as the interpreter chooses it; it prints a text."""
    code = error.code if isinstance(error, SystemExit) else None
    if isinstance(code, int):
        return code
    if code is not None:
        print(code, file=sys.stderr)
    return 0 if code is None else 1


def _threads() -> list[threading.Thread]:
    """Those that the interpreter waits for."""
    return [t for t in threading.enumerate() if not t.daemon and t is not threading.main_thread()]


def _what_runs() -> str:
    frames = sys._current_frames()
    threads = _threads()
    if threads:
        return ", ".join(f"thread {t.name!r}{_place(frames.get(t.ident or 0))}" for t in threads[:5]) + (
            f" and {len(threads) - 5} more threads" if len(threads) > 5 else ""
        )
    return "the end of the event loop" + _place(frames.get(threading.main_thread().ident or 0))


def _place(frame: FrameType | None) -> str:
    return f" ({frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name})" if frame is not None else ""
