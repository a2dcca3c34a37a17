"""One epoll, and signals as data: a handler only records its number, the caller acts on it between two waits."""

from __future__ import annotations

import os
import select
import signal
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    Callback = Callable[[int], None]

# Raised by the processor: a Python handler would return into the same fault for ever.
FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL}
# The kernel's job control: with a handler the supervisor could not be stopped and continued.
JOB_CONTROL = {signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGCONT}
FAULTS_MOST = 10  # exceptions of one descriptor's callback before it counts as broken


class Loop:
    """Waits for descriptors, signals and a deadline, all on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._callbacks: dict[int, Callback] = {}
        self._faults: dict[int, int] = {}
        self._signals: set[int] = set()
        self._timers: dict[Callable[[], None], float] = {}
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.add(self._wake_read, select.EPOLLIN, self._drain_wake)

    now = staticmethod(time.monotonic)

    def catch(self, signals: Iterable[int]) -> None:
        """Record these signals from now on. The wake-up pipe may be full: the set keeps what it can't tell."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for signum in signals:
            signal.signal(signum, self._record)
        # The command line blocks what came too early; whoever started it may have blocked SIGCHLD, too.
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    def add(self, fd: int, events: int, callback: Callback) -> None:
        """Call `callback(mask)` whenever one of `events` is there."""
        self._epoll.register(fd, events)
        self._callbacks[fd] = callback

    def modify(self, fd: int, events: int) -> None:
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Forget `fd`; call it before the descriptor is closed, or its number comes back as somebody else's."""
        if self._callbacks.pop(fd, None) is not None:
            self._faults.pop(fd, None)
            self._epoll.unregister(fd)

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        """Call `callback` once at this time; asked again before that, only the new time counts."""
        self._timers[callback] = when

    def cancel(self, callback: Callable[[], None]) -> None:
        self._timers.pop(callback, None)

    def wait(self, deadline: float | None) -> int:
        """Sleep until something happens or `deadline` is reached, and call back whom it concerns; returns how many
        descriptors that were."""
        due = min((t for t in (deadline, *self._timers.values()) if t is not None), default=None)
        timeout = None if due is None else max(0.0, due - self.now())
        if self._signals:
            timeout = 0.0
        events = self._epoll.poll(timeout)
        for fd, mask in events:
            # An earlier callback of this round may have removed it.
            callback = self._callbacks.get(fd)
            if callback is not None:
                self._call(callback, fd, mask)
        self._call_timers()
        return len(events)

    def pop_signals(self) -> list[int]:
        """The signals that came since the last call, each once, in the order of their numbers."""
        taken = sorted(self._signals)
        self._signals.difference_update(taken)
        return taken

    def _call(self, callback: Callback, fd: int, mask: int) -> None:
        try:
            callback(mask)
        except Exception:
            # One fault must not take every worker with it, and a descriptor that only faults must not spin for ever.
            sys.excepthook(*sys.exc_info())
            if self._callbacks.get(fd) is callback:
                self._faults[fd] = self._faults.get(fd, 0) + 1
                if self._faults[fd] >= FAULTS_MOST:
                    self.remove(fd)

    def _call_timers(self) -> None:
        now = self.now()
        for callback in [one for one, when in self._timers.items() if when <= now]:
            del self._timers[callback]
            try:
                callback()
            except Exception:
                sys.excepthook(*sys.exc_info())

    def _record(self, signum: int, frame: FrameType | None) -> None:
        self._signals.add(signum)

    def _drain_wake(self, mask: int) -> None:
        try:
            os.read(self._wake_read, 4096)
        except BlockingIOError:
            pass


def catchable() -> list[int]:
    """Every signal that gets a handler: an unhandled one would kill an ordinary process, or vanish as PID 1."""
    return [s for s in signal.valid_signals() if s not in FAULTS | JOB_CONTROL and s != signal.SIGPIPE]
