"""Waiting in a thread for what runs in the worker's event loop: sessions of WSGI applications."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from corepod.shared.sync import loop_for_threads
from corepod.worker.ipc.threads import LoopEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from typing import Any

T = TypeVar("T")


def wait(call: Callable[[], Coroutine[Any, Any, T]], instead: str) -> T:
    """What the call returns in the worker's event loop. It is made there: a backend belongs to its loop.

    Raises RuntimeError, which says what to do `instead`, in that loop itself. Another loop, such as the one in which
    Flask runs an asynchronous view, may wait: its thread serves this one request.
    """
    loop = loop_for_threads()
    try:
        here = asyncio.get_running_loop() is loop
    except RuntimeError:
        here = False
    if here:
        raise RuntimeError(f"to wait for the session here would block the event loop of all requests: {instead}")

    async def there() -> T:
        return await call()

    work = there()
    try:
        running = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError as error:
        work.close()
        raise LoopEndedError(str(error)) from None
    return running.result()
