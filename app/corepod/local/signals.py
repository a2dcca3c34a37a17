"""Signals for a program that waits with select: it acts upon them between two steps, and never within one."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


@contextlib.contextmanager
def caught(signals: Iterable[int]) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A socket that gets a byte for each of these signals, its number, and the end at which they are written."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    signal.set_wakeup_fd(theirs.fileno(), warn_on_full_buffer=False)
    for signum in signals:
        signal.signal(signum, lambda signum, frame: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with ours, theirs:
        try:
            yield ours, theirs
        finally:
            signal.set_wakeup_fd(-1)


def pause() -> None:
    """Stop as Ctrl-Z asks for; comes back when SIGCONT has come."""
    ours = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, ours)


def in_foreground() -> bool:
    """Whether the terminal is this process's: to draw there from the background would spoil what others write."""
    try:
        return os.tcgetpgrp(1) == os.getpgrp()
    except OSError:
        return True  # it is nobody's controlling terminal
