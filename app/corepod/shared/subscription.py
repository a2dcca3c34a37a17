"""What waits for a subscription of the application, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.shared import values

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.shared.backend import Backend

# What waits at most; what comes then is dropped, and the next message says that some are missing.
COUNT_MOST = 1024
SIZE_MOST = 4 << 20  # bytes


class Message(NamedTuple):
    """What has come for a subscription."""

    topic: str
    data: Any
    lost: bool  # messages before this one may be missing


class _Waiting:
    """What has come and wasn't asked for yet. Doesn't know its subscription, which ends when nobody refers to it."""

    def __init__(self) -> None:
        self.raw: deque[tuple[bytes, bool]] = deque()
        self.size = 0
        self.lost = False
        self.ended = False
        self.askers: set[asyncio.Future[None]] = set()

    def put(self, raw: bytes | None) -> None:
        if raw is None or len(self.raw) >= COUNT_MOST or self.size + len(raw) > SIZE_MOST:
            self.lost = True
            return
        self.raw.append((raw, self.lost))
        self.size += len(raw)
        self.lost = False
        self.wake()

    def wake(self) -> None:
        for asker in self.askers:
            if not asker.done():
                asker.set_result(None)


class Subscription:
    """`async for message in subscription`."""

    def __init__(self, backend: Backend, topic: str, key: str) -> None:
        self.topic = topic
        self._loop = asyncio.get_running_loop()
        self._waiting = waiting = _Waiting()
        self._end = weakref.finalize(self, _in_loop, self._loop, backend.subscribe(key, waiting.put))
        self._end.atexit = False

    def close(self) -> None:
        """No more messages; whoever waits for one gets the end."""
        self._end()
        self._waiting.ended = True
        self._waiting.raw.clear()
        self._waiting.wake()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        waiting = self._waiting
        lost = False
        while True:
            while not waiting.raw:
                await self._come()
            raw, lost_before = waiting.raw.popleft()
            waiting.size -= len(raw)
            lost |= lost_before
            try:
                return Message(self.topic, values.decode(raw), lost)
            except ValueError:
                lost = True  # published by something else than corepod.shared

    async def _come(self) -> None:
        if self._waiting.ended:
            raise StopAsyncIteration
        asker = self._loop.create_future()
        self._waiting.askers.add(asker)
        try:
            await asker
        finally:
            self._waiting.askers.discard(asker)


def _in_loop(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """The last reference to a subscription may be that of a thread."""
    try:
        running = asyncio.get_running_loop()
    except RuntimeError:
        running = None
    if running is loop:
        call()
        return
    with contextlib.suppress(RuntimeError):  # it is closed
        loop.call_soon_threadsafe(call)
