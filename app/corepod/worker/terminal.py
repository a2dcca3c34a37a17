"""The terminal for a debugger in this process.

A worker leads a process group of its own, and the kernel lets only one group at a time read the terminal: that of the
command line, as long as no debugger asks something. Ctrl-C then reaches the command line, which stops the pool.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

PAUSE = 0.1  # seconds between two looks at a terminal that another debugger has
_lock = threading.Lock()
_debuggers = 0  # in this process


def lend(home: int) -> None:
    """Let pdb, and what is built on it, have the terminal of the group `home` while it asks."""
    import pdb  # only where there is a terminal to debug at

    # Stopped by Ctrl-Z, or for changing the terminal's modes, it could not be continued: no shell has it as its job.
    for signum in (signal.SIGTTOU, signal.SIGTSTP):
        signal.signal(signum, signal.SIG_IGN)
    interact = pdb.Pdb.interaction

    def interaction(debugger: pdb.Pdb, *args: Any, **options: Any) -> Any:
        with _terminal(home), _interrupts():
            return interact(debugger, *args, **options)

    pdb.Pdb.interaction = interaction  # type: ignore[assignment, method-assign]


@contextmanager
def _terminal(home: int) -> Iterator[None]:
    global _debuggers
    with _lock:
        _debuggers += 1
        if _debuggers == 1:
            _take(home)
    try:
        yield
    finally:
        with _lock:
            _debuggers -= 1
            if not _debuggers:
                _move(os.getpgrp(), home)


def _take(home: int) -> None:
    """Wait until neither another worker's debugger nor, where the pool runs in the background, the shell has it."""
    while not _move(home, os.getpgrp()):
        time.sleep(PAUSE)


def _move(giver: int, taker: int) -> bool:
    """Whether the terminal isn't anybody else's now. One that has gone away is given to nobody."""
    try:
        if os.tcgetpgrp(0) != giver:
            return False
        os.tcsetpgrp(0, taker)
    except OSError:
        pass
    return True


@contextmanager
def _interrupts() -> Iterator[None]:
    """Let Ctrl-C interrupt what is typed at the prompt, not stop the worker. In another thread than the main one that
    can't be arranged."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before, wakeup = signal.getsignal(signal.SIGINT), signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        signal.set_wakeup_fd(wakeup)
