"""Subscriptions: what waits for the application, by topic, within bounds."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from itertools import count
from typing import TYPE_CHECKING

from corepod.worker.ipc.message import Message, Sender

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from typing import Any

    from corepod.worker.ipc.wire import Packet

    Replying = Callable[[Any], Awaitable[bool]]
    InLoop = Callable[[Callable[[], None]], None]
    # A message in a queue, who has sent it, how many were lost before it, how to reply, and whether it has come by the
    # slot's inbox.
    Waiting = tuple[Packet, Sender, int, Replying | None, bool]

# What waits for a subscription at most; what comes then is dropped, and the next message says how much that was.
COUNT_MOST = 1024
SIZE_MOST = 4 << 20  # bytes
# So many waiting messages keep the worker from taking more from its slot's inbox, where senders see that it is full.
ENOUGH = 64


class Subscription:
    """`async for message in subscription`. It begins when it is made, and ends when it is closed or forgotten."""

    def __init__(self, topics: Topics, topic: str) -> None:
        self.topic = topic
        self.loop = asyncio.get_running_loop()
        self._topics = topics
        self._waiting: deque[Waiting] = deque()
        self._size = 0
        self._lost = 0
        self._wake: deque[asyncio.Future[None]] = deque()
        self._end = weakref.finalize(self, topics.remove, topic, topics.add(self), self._waiting)
        self._end.atexit = False

    def put(self, packet: Packet, sender: Sender, lost: int, reply: Replying | None, *, counted: bool) -> bool:
        """False where it is dropped, for lack of room."""
        self._lost += lost
        if len(self._waiting) >= COUNT_MOST or self._size + len(packet.body) > SIZE_MOST:
            self._lost += 1
            return False
        self._size += len(packet.body)
        self._waiting.append((packet, sender, self._lost, reply, counted))
        if len(self._waiting) == ENOUGH:
            self._topics.full += 1
        self._lost = 0
        if self._wake:
            self._wake_one()
        return True

    def close(self) -> None:
        """No more messages; whoever waits for one gets the end."""
        self._end()
        while self._wake:
            self._wake_one()

    def __enter__(self) -> Subscription:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        while True:
            if not self._waiting:
                await self._come()
            packet, sender, lost, reply, counted = self._waiting.popleft()
            self._size -= len(packet.body)
            has_room_again = len(self._waiting) == ENOUGH - 1
            self._topics.full -= has_room_again
            if counted or has_room_again:  # where a broadcast has waited, there is room for messages to the slot now
                self._topics.on_handed(int(counted))
            try:
                return Message(packet.topic, packet.data, sender, lost, reply)
            except (ValueError, RecursionError):  # written by something else than `send` of a worker
                self._lost += lost + 1

    async def _come(self) -> None:
        """Return when there is a message."""
        while not self._waiting:
            if not self._end.alive:
                raise StopAsyncIteration
            waker = self.loop.create_future()
            self._wake.append(waker)
            try:
                await waker
            except asyncio.CancelledError:
                if waker in self._wake:
                    self._wake.remove(waker)
                elif not waker.cancelled():
                    self._wake_one()  # it was told, and another one may wait
                raise

    def _wake_one(self) -> None:
        while self._wake:
            waker = self._wake.popleft()
            if not waker.done():
                waker.set_result(None)
                return


def _now(call: Callable[[], None]) -> None:
    call()


class Topics:
    """The subscriptions of a process. `on_handed` is called with the number of messages from the slot's inbox that
    are the application's now, or nobody's."""

    def __init__(self, on_handed: Callable[[int], None], in_loop: InLoop = _now) -> None:
        """`in_loop` calls a function where the subscriptions belong: the last reference to one may be a thread's."""
        self.full = 0  # subscriptions with so many waiting messages that no more should be taken
        self.on_handed, self._in_loop = on_handed, in_loop
        self._numbers = count()
        self._by_topic: dict[str, dict[int, weakref.ref[Subscription]]] = {}

    def add(self, subscription: Subscription) -> int:
        """Its number here."""
        number = next(self._numbers)
        self._by_topic.setdefault(subscription.topic, {})[number] = weakref.ref(subscription)
        return number

    def remove(self, topic: str, number: int, waiting: deque[Waiting]) -> None:
        """A subscription has ended; what waits for it is dropped."""
        self._in_loop(lambda: self._remove(topic, number, waiting))

    def _remove(self, topic: str, number: int, waiting: deque[Waiting]) -> None:
        found = self._by_topic.get(topic, {})
        found.pop(number, None)
        if not found:
            self._by_topic.pop(topic, None)
        dropped = sum(counted for *_, counted in waiting)
        self.full -= len(waiting) >= ENOUGH
        waiting.clear()
        self.on_handed(dropped)

    def of(self, topic: str) -> list[Subscription]:
        """Those that a message on this topic is for."""
        found = self._by_topic.get(topic)
        return [one for ref in list(found.values()) if (one := ref()) is not None] if found else []
