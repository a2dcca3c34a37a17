"""A kernel timer that interrupts the event loop's thread when the loop doesn't come back to it."""

from __future__ import annotations

import ctypes
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

from corepod.contract.stacks import STALL_SIGNAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

_CLOCK_MONOTONIC, _SIGEV_THREAD_ID = 1, 4


class _Event(ctypes.Structure):
    """struct sigevent, 64 bytes."""

    _fields_ = (
        ("value", ctypes.c_void_p),
        ("signal", ctypes.c_int),
        ("notify", ctypes.c_int),
        ("thread", ctypes.c_int),
        ("_rest", ctypes.c_char * (64 - ctypes.sizeof(ctypes.c_void_p) - 12)),
    )


class _Times(ctypes.Structure):
    """struct itimerspec: the interval, which stays 0, and the time to the first expiry."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("_s", "_ns", "seconds", "nanoseconds"))


class StallTimer:
    """Of the main thread, which makes it. When it has run out, `interrupted` is called there with the frame that runs,
    as soon as the interpreter can: between two bytecodes, or when a call into C returns.

    faulthandler would write the stack in the midst of such a call. It isn't used, because it reads frames that are
    being made and unmade: asked often enough, it crashes the process.

    Raises OSError or AttributeError where the system has no such timer, ValueError where the signal is taken.
    """

    def __init__(self, interrupted: Callable[[FrameType | None], None]) -> None:
        if signal.getsignal(STALL_SIGNAL) is not signal.SIG_DFL:
            raise ValueError("the application uses the signal")
        libc = ctypes.PyDLL(None, use_errno=True)  # keeps the GIL: to give it up and get it back costs more than a call
        self._interrupted, self._pid = interrupted, os.getpid()
        self._timer, self._times = ctypes.c_void_p(), _Times()
        self._settime: Any = libc.timer_settime
        self._delete: Any = libc.timer_delete
        event = _Event(None, STALL_SIGNAL, _SIGEV_THREAD_ID, threading.get_native_id())
        if libc.timer_create(_CLOCK_MONOTONIC, ctypes.byref(event), ctypes.byref(self._timer)):
            raise OSError(ctypes.get_errno(), "timer_create")
        self._arguments = (self._timer, 0, ctypes.byref(self._times), None)
        self._handler = self._handle
        signal.signal(STALL_SIGNAL, self._handler)
        # What the application reads meanwhile goes on, also where a library in C doesn't expect to be interrupted.
        signal.siginterrupt(STALL_SIGNAL, False)

    @property
    def usable(self) -> bool:
        """Whether the signal is still the timer's: the application may have chosen the same."""
        return signal.getsignal(STALL_SIGNAL) is self._handler

    def set(self, seconds: float) -> None:
        """Interrupt in so many seconds, unless this is called again before; 0 for never."""
        self._times.seconds = int(seconds)
        self._times.nanoseconds = int(seconds % 1 * 1e9)
        self._settime(*self._arguments)

    def close(self) -> None:
        """Without it the timer ends with the process, or when the process executes another program."""
        self._delete(self._timer)
        if self.usable:
            signal.signal(STALL_SIGNAL, signal.SIG_DFL)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if os.getpid() == self._pid:  # a child has the handler, too, but no timer
            self._interrupted(frame)
