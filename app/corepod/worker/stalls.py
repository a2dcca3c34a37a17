"""Notices that code blocks the event loop while requests are served, and which code that is.

While nothing is in flight this costs nothing, and else a few timers a second: the loop sets back a kernel timer, which
runs out when the loop doesn't come round to it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

from corepod.worker.stacks import Stack, stack_of
from corepod.worker.stall_reports import Cause, Stall, StallReports, cause_of
from corepod.worker.stall_timer import StallTimer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import FrameType

    from corepod.worker.application.instrumented import Instrumented

LOOKS = 4  # in the time that may pass: what a stall is longer than is known to a fourth of it


class Used(NamedTuple):
    """Seconds up to now: CPU of the loop's thread, its waits for a core, CPU of all threads."""

    cpu: float
    waited: float
    process: float


class StallWatch:
    """Of the loop's thread, which makes it. `after` is the setting, seconds; `say` logs a text."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, app: Instrumented, after: float, say: Callable[[str], None]
    ) -> None:
        self._loop, self._app, self._after, self._say = loop, app, after, say
        self._period = after / LOOKS
        self._timer = StallTimer(self._interrupted)
        self._reports, self._summary_due = StallReports(), False
        self._meter = Meter()
        self._due, self._used = 0.0, self._meter.read()
        self._stack: Stack = ()  # of the loop's thread, taken while the loop was blocked
        self._others: tuple[Stack, ...] = ()  # of the other threads at that moment
        self._serving: tuple[str, ...] = ()
        self._in_flight = 0

    def begin(self) -> None:
        """Watch from the next request on."""
        self._app.begins = self._wake

    def _wake(self) -> None:
        # A request has come, and nothing was in flight before.
        self._app.begins = None
        if not self._timer.usable:
            return  # the application has taken the signal: never again
        self._look_soon()

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._due >= self._after:
            self._stalled(now, now - self._due)
        if self._app.in_flight and self._timer.usable:
            self._look_soon()
        else:
            self._timer.set(0)
            self.begin()

    def _look_soon(self) -> None:
        # Not at the loop's next turn, when a short request is over: each would pay for a look of its own.
        self._set(time.monotonic() + self._period)
        self._loop.call_later(self._period, self._look)

    def _set(self, due: float) -> None:
        """The loop should come round at `due`."""
        self._due, self._used = due, self._meter.read()
        self._stack = self._others = self._serving = ()
        self._timer.set(due - time.monotonic() + self._after)

    def _interrupted(self, frame: FrameType | None) -> None:
        me = threading.get_ident()
        self._stack = stack_of(frame)
        self._others = tuple(stack_of(other) for ident, other in sys._current_frames().items() if ident != me)
        self._serving, self._in_flight = tuple(self._app.record.serving()), self._app.in_flight

    def _stalled(self, now: float, lasted: float) -> None:
        before, after = self._used, self._meter.read()
        spent = Used(*(b - a for a, b in zip(before, after, strict=True)))
        cause = cause_of(
            lasted, cpu=spent.cpu, waited=spent.waited, others=spent.process - spent.cpu, least=self._after,
            stack=self._stack,
        )  # fmt: skip
        if cause is Cause.NONE:
            return
        others = self._others if cause is Cause.THREADS else ()
        stall = Stall(lasted, spent.cpu, spent.waited, cause, self._stack, others, self._serving, self._in_flight)
        if text := self._reports.add(stall, now):
            self._say(text)
        if self._reports.left_out and not self._summary_due:
            self._summary_due = True
            self._loop.call_later(max(0.0, self._reports.summary_at - now), self._sum_up)

    def _sum_up(self) -> None:
        self._summary_due = False
        if text := self._reports.summary(time.monotonic()):
            self._say(text)


class Meter:
    """Of the thread that makes it."""

    def __init__(self) -> None:
        try:
            # Kept open: to open it for each look costs ten times as much as to read it.
            self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self._schedstat = -1  # no such file in this sandbox

    def read(self) -> Used:
        """What the thread and its process have used so far."""
        try:
            ran, waited, *_ = os.pread(self._schedstat, 100, 0).split()
            return Used(int(ran) / 1e9, int(waited) / 1e9, time.process_time())
        except (OSError, ValueError):  # the application has closed it, too, and opened something else
            return Used(time.thread_time(), 0.0, time.process_time())
