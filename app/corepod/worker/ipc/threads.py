"""How threads call what belongs to an event loop, and a loop for those of a process that has none."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class LoopEndedError(RuntimeError):
    """The event loop takes no more calls."""


class LoopThread:
    """An event loop in a thread of its own, made at the first use, and anew in a forked child."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        os.register_at_fork(after_in_child=self._forget)

    def loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                threading.Thread(target=self._loop.run_forever, name=self._name, daemon=True).start()
            return self._loop

    def _forget(self) -> None:
        self._lock, self._loop = threading.Lock(), None


def run(call: Callable[[], Coroutine[Any, Any, Any]], find: Callable[[], asyncio.AbstractEventLoop], what: str) -> Any:
    """What the call returns in the event loop that `find` returns. It is made there: what it uses belongs to the loop.

    Raises RuntimeError in an event loop, which it would block: `what` is for that one.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(f"{what}.sync blocks, and would block the event loop: use {what} here")

    async def there() -> Any:
        return await call()

    work = there()
    try:
        running = asyncio.run_coroutine_threadsafe(work, find())
    except RuntimeError as error:
        work.close()
        raise LoopEndedError(str(error)) from None
    return running.result()
