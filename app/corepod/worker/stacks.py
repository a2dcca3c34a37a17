"""Stacks of threads and of tasks, as the interpreter itself sees them, and the text that shows them.

The text has the form of faulthandler's. It has no lines of source: to read them takes a disk, while the loop waits.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.contract.stacks import ASKED, NEWEST_FIRST, STACKS_SIGNAL, TASKS, TASKS_END
from corepod.worker.process import stacks_fd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

DEEPEST = 60  # frames of a stack that are shown
TEXT_MOST = 48 * 1024  # bytes: less than a pipe holds, so that whoever reads it late doesn't hold up the worker
LOOKING = 0.25  # seconds in which tasks are looked at: the loop stands still meanwhile
NAMES = 3  # of tasks with the same stack
NAME_MOST = 80  # characters of a name: an application may put anything there
WRITING = 0.5  # seconds for which a full pipe is waited for


class Place(NamedTuple):
    """One line of a stack."""

    file: str
    line: int
    name: str

    def __str__(self) -> str:
        return f'  File "{self.file}", line {self.line} in {self.name}'


Stack = tuple[Place, ...]  # the newest call first


def stack_of(frame: FrameType | None, most: int = DEEPEST) -> Stack:
    """The calls that have led to this frame."""
    places: list[Place] = []
    while frame is not None and len(places) < most:
        places.append(_place(frame))
        frame = frame.f_back
    return tuple(places)


def _place(frame: Any) -> Place:
    code = frame.f_code
    return Place(code.co_filename, frame.f_lineno or code.co_firstlineno, getattr(code, "co_qualname", code.co_name))


def stack_of_task(task: asyncio.Task[Any]) -> Stack:
    """Where a task waits: through every coroutine and generator that it awaits."""
    places: list[Place] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(places) < DEEPEST:
        frame = next((f for name in ("cr_frame", "gi_frame", "ag_frame") if (f := getattr(awaited, name, None))), None)
        if frame is not None:
            places.append(_place(frame))
        awaited = next(
            (a for name in ("cr_await", "gi_yieldfrom", "ag_await") if (a := getattr(awaited, name, None))), None
        )
    return tuple(reversed(places))


def threads(frame: FrameType | None) -> str:
    """Every thread; `frame` is that of the one which asks, without the calls that asking takes."""
    me = threading.get_ident()
    # Not threading.enumerate(): it takes a lock, which the interrupted code may hold.
    names = {ident: thread.name for ident, thread in list(getattr(threading, "_active", {}).items())}
    found = {**sys._current_frames(), me: frame}
    parts = []
    for ident in sorted(found, key=lambda ident: ident != me):
        name = f" [{_short(names[ident])}]" if ident in names else ""
        title = f"{ASKED if ident == me else 'Thread'} 0x{ident:016x}{name} {NEWEST_FIRST}"
        parts.append("\n".join([title, *map(str, stack_of(found[ident]))]))
    return _fitting(parts, "threads", TEXT_MOST // 2)


def tasks(all_tasks: Iterable[asyncio.Task[Any]], running: asyncio.Task[Any] | None, frame: FrameType | None) -> str:
    """Every task, those with the same stack together. That of the one that runs is known by its thread's frame."""
    groups: dict[Stack, list[str]] = {}
    until, left, found = time.monotonic() + LOOKING, 0, list(all_tasks)
    for task in found:
        if time.monotonic() > until:
            left += 1
            continue
        stack = _running(task, frame) if task is running else stack_of_task(task)
        groups.setdefault(stack, []).append(_short(task.get_name()))
    parts = [
        "\n".join([_title(names), *(map(str, stack) if stack else ["  (it has no frame)"])])
        for stack, names in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]
    more = f"\n{left} tasks were not looked at: it would have taken too long" if left else ""
    shown = _fitting(parts, "places where tasks wait", TEXT_MOST // 2)
    return f"{TASKS}{len(found)}\n{shown}{more}\n{TASKS_END}"


def _running(task: asyncio.Task[Any], frame: FrameType | None) -> Stack:
    outermost = getattr(task.get_coro(), "cr_frame", None)
    places: list[Place] = []
    while frame is not None and len(places) < DEEPEST:
        places.append(_place(frame))
        if frame is outermost:
            return tuple(places)
        frame = frame.f_back
    return stack_of_task(task)  # another loop runs inside of it, or nothing of it does


def _title(names: list[str]) -> str:
    shown = ", ".join(names[:NAMES]) + (", ..." if len(names) > NAMES else "")
    return f"{len(names)} tasks [{shown}] {NEWEST_FIRST}" if len(names) > 1 else f"Task [{shown}] {NEWEST_FIRST}"


def _fitting(parts: list[str], what: str, most: int) -> str:
    """The first parts, as many as there is room for, and how many are left out."""
    shown: list[str] = []
    room = most
    for number, part in enumerate(parts):
        room -= len(part.encode("utf-8", "replace")) + 2
        if room < 0:
            return "\n\n".join([*shown, f"{len(parts) - number} more {what} are left out"])
        shown.append(part)
    return "\n\n".join(shown)


def _short(name: str) -> str:
    name = str(name)
    return name if len(name) <= NAME_MOST else name[: NAME_MOST - 3] + "..."


def show_when_asked(loop: asyncio.AbstractEventLoop) -> None:
    """From now on STACKS_SIGNAL makes this process, and no child of it, write its stacks where the supervisor reads."""
    pid = os.getpid()

    def handle(signum: int, frame: FrameType | None) -> None:
        if os.getpid() == pid:
            write(lambda: _everything(loop, frame))

    if signal.getsignal(STACKS_SIGNAL) is signal.SIG_DFL:  # else it is the application's
        signal.signal(STACKS_SIGNAL, handle)


def _everything(loop: asyncio.AbstractEventLoop, frame: FrameType | None) -> str:
    return f"{threads(frame)}\n\n{tasks(asyncio.all_tasks(loop), asyncio.current_task(loop), frame)}\n"


def write(make: Callable[[], str]) -> None:
    """Never raises: it runs in the midst of any code. What doesn't fit into the pipe in time is lost."""
    try:
        text = make()
    except Exception as error:
        text = f"The stacks can't be shown: {type(error).__name__}\n{TASKS_END}\n"
    try:
        fd = stacks_fd()
        room, until = select.poll(), time.monotonic() + WRITING
        room.register(fd, select.POLLOUT)
        data = text.encode("utf-8", "backslashreplace")
        while data and room.poll(max(0.0, until - time.monotonic()) * 1000):
            # As much as a pipe that can be written to takes without waiting.
            data = data[os.write(fd, data[: select.PIPE_BUF]) :]
    except (OSError, LookupError):
        pass
