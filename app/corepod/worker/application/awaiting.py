"""Where a task waits: the stack of what it awaits, which `asyncio.Task.get_stack` doesn't have."""

from __future__ import annotations

import gc
import inspect
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

DEEPEST = 100  # frames


def where_it_waits(task: asyncio.Task[Any]) -> str:
    """The stack as a traceback shows one, outermost first; empty where the task has ended."""
    frames: list[FrameType] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(frames) < DEEPEST:
        frame, awaited = _look(awaited)
        if frame is not None:
            frames.append(frame)
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames)
    return "".join(summary.format()).rstrip()


def _look(awaited: Any) -> tuple[FrameType | None, Any]:
    """The frame of something awaited, and what it awaits itself."""
    if inspect.iscoroutine(awaited):
        return awaited.cr_frame, awaited.cr_await
    if inspect.isasyncgen(awaited):
        return awaited.ag_frame, awaited.ag_await
    if inspect.isgenerator(awaited):
        return awaited.gi_frame, awaited.gi_yieldfrom
    # The step of an asynchronous generator (`async with` of a lifespan is one), and what wraps a coroutine.
    inside = (one for one in gc.get_referents(awaited) if _is_frame_of_code(one))
    return None, next(inside, None)


def _is_frame_of_code(thing: Any) -> bool:
    return inspect.iscoroutine(thing) or inspect.isasyncgen(thing) or inspect.isgenerator(thing)
