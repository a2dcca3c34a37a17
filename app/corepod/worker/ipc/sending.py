"""What a worker sends, and its requests that wait for an answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.ipc import wire
from corepod.worker.ipc.errors import Full, NobodyListens
from corepod.worker.ipc.outbox import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from corepod.worker.ipc.directory import Directory
    from corepod.worker.ipc.place import Place
    from corepod.worker.ipc.wire import Content, Packet

YIELD = 32  # messages after which a sender lets the event loop turn


class Sending:
    """A message that has room is sent at once, without a task, a timer or a lock: that is the way of nearly all."""

    def __init__(self, place: Place, directory: Directory, joined: Callable[[], Awaitable[None]]) -> None:
        self._place, self._directory, self._joined = place, directory, joined
        self._requests: dict[int, asyncio.Future[Packet]] = {}
        self._last_request = 0
        self._sent = 0

    async def broadcast(self, topic: str, data: Any, within: float) -> list[int]:
        content, me = wire.content(topic, data), self._me()
        outboxes = self._directory.everybody
        if outboxes is None:
            outboxes = await self._directory.find_everybody()
        full = [to for to in outboxes if to[1].broadcast(content, me) is Outcome.FULL]
        if full:
            waiting = [outbox.broadcast_in_time(content, me, within) for _, outbox in full]
            outcomes = await asyncio.gather(*waiting)
            full = [to for to, outcome in zip(full, outcomes, strict=True) if outcome is Outcome.FULL]
        self._sent += 1
        if self._sent % YIELD == 0:
            await asyncio.sleep(0)
        return sorted(slot for slot, _ in full)

    async def send(self, slot: int, topic: str, data: Any, within: float) -> None:
        content, me = wire.content(topic, data), self._me()
        outbox = self._directory.known(slot)
        if outbox is None or outbox.send_now(content.packet(wire.MESSAGE, me)) is not Outcome.SENT:
            await self._send_in_time(slot, content, wire.MESSAGE, 0, within)
        self._sent += 1
        if self._sent % YIELD == 0:
            await asyncio.sleep(0)

    async def request(self, slot: int, topic: str, data: Any, within: float) -> Any:
        content = wire.content(topic, data)
        self._me()
        self._last_request += 1
        number, answer = self._last_request, self._place.loop.create_future()
        self._requests[number] = answer
        try:
            async with asyncio.timeout(within):
                await self._joined()
                await self._send_in_time(slot, content, wire.REQUEST, number, within)
                packet: Packet = await answer
        except TimeoutError:
            raise TimeoutError(f"slot {slot} hasn't answered a request on {topic!r} within {within:g} s") from None
        finally:
            del self._requests[number]
        if packet.kind == wire.REFUSAL:
            raise NobodyListens(slot, topic)
        return packet.data

    def answered(self, packet: Packet) -> None:
        """A reply or a refusal has come."""
        answer = self._requests.get(packet.request)
        if answer is not None and not answer.done():
            answer.set_result(packet)

    async def reply(self, request: Packet, content: Content, kind: int = wire.REPLY) -> bool:
        """Whether the answer has gone to who asks."""
        outbox = await self._directory.worker(request.worker)
        if outbox is None:
            return False
        return await outbox.send(lambda: content.packet(kind, self._me(), 0, request.request), 1.0) is Outcome.SENT

    def _me(self) -> int:
        if self._place.me is None:
            raise RuntimeError(
                "this process is a standby without a slot, so it can't send: wait for `ipc.joined()` in a task, not in "
                "the lifespan"
            )
        return self._place.me.worker

    async def _send_in_time(self, slot: int, content: Content, kind: int, request: int, within: float) -> None:
        packet = content.packet(kind, self._me(), 0, request)
        while True:
            outbox = self._directory.known(slot) or await self._directory.slot(slot)
            outcome = await outbox.send(lambda: packet, within)
            if outcome is Outcome.SENT:
                return
            if outcome is Outcome.FULL:
                raise Full(slot, within)
            self._directory.forget_slot(slot, outbox)  # the slot was removed; there may be a new one
