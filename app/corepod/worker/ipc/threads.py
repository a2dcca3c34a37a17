"""How threads call what belongs to an event loop, and a loop for those of a process that has none."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

    Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]

M = TypeVar("M")


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


class Messages(Generic[M]):
    """The messages of a subscription of the event loop. Waiting for one blocks the thread."""

    def __init__(self, subscribe: Callable[[], Any], run: Run) -> None:
        """`subscribe` is called in the event loop, into which `run` takes a call."""

        async def begin() -> Any:
            return subscribe()

        self._run = run
        self._subscription = run(begin)

    def close(self) -> None:
        """No more messages; a thread that waits for one gets the end."""
        self._run(self._close)

    async def _close(self) -> None:
        self._subscription.close()

    def __enter__(self) -> Messages[M]:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[M]:
        while True:
            try:
                message = self._run(self._next)
            except (CancelledError, LoopEndedError):
                return  # with the worker
            if message is None:
                return
            yield message

    async def _next(self) -> M | None:
        message: M | None = await anext(self._subscription, None)
        return message
