"""Messages outside of a pool, as under another server or in tests: the process is a pool of one worker, slot 0."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.ipc import wire
from corepod.worker.ipc.errors import NobodyListens, NoSuchSlot
from corepod.worker.ipc.message import Sender
from corepod.worker.ipc.subscription import Subscription, Topics
from corepod.worker.ipc.threads import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.ipc.subscription import Replying
    from corepod.worker.ipc.wire import Packet

ME = Sender(0, 0)


class LocalHub:
    """Works in any event loop of the process; each subscription belongs to the one in which it was made."""

    def __init__(self) -> None:
        self._topics = Topics(lambda count: None)
        self._thread = LoopThread("corepod-ipc")

    def subscribe(self, topic: str) -> Subscription:
        wire.topic_name(topic)
        return Subscription(self._topics, topic)

    async def joined(self) -> None:
        pass

    async def broadcast(self, topic: str, data: Any, within: float) -> list[int]:
        self._deliver(wire.content(topic, data).packet(wire.MESSAGE, 0), None)
        await asyncio.sleep(0)
        return []

    async def send(self, slot: int, topic: str, data: Any, within: float) -> None:
        self._deliver(self._content(slot, topic, data).packet(wire.MESSAGE, 0), None)
        await asyncio.sleep(0)

    async def request(self, slot: int, topic: str, data: Any, within: float) -> Any:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Packet] = loop.create_future()

        async def reply(answered: Any) -> bool:
            packet = wire.decode(wire.content(topic, answered).packet(wire.REPLY, 0))
            return _call(loop, lambda: None if answer.done() else answer.set_result(packet))

        if not self._deliver(self._content(slot, topic, data).packet(wire.REQUEST, 0), reply):
            raise NobodyListens(slot, topic)
        try:
            async with asyncio.timeout(within):
                return (await answer).data
        except TimeoutError:
            raise TimeoutError(f"slot {slot} hasn't answered a request on {topic!r} within {within:g} s") from None

    def loop_for_threads(self) -> asyncio.AbstractEventLoop:
        """A loop in a thread of its own, made at the first use."""
        return self._thread.loop()

    def _content(self, slot: int, topic: str, data: Any) -> wire.Content:
        if slot != 0:
            raise NoSuchSlot(slot, 1)
        return wire.content(topic, data)

    def _deliver(self, raw: bytes, reply: Replying | None) -> int:
        packet = wire.decode(raw)
        return sum(
            _call(one.loop, lambda one=one: one.put(packet, ME, 0, reply, counted=False))  # type: ignore[misc]
            for one in self._topics.of(packet.topic)
        )


def _call(loop: asyncio.AbstractEventLoop, what: Callable[[], Any]) -> bool:
    try:
        loop.call_soon_threadsafe(what)
    except RuntimeError:  # it is closed
        return False
    return True
