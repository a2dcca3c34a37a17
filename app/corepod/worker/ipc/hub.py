"""Messages of a worker of a pool: what it sends, what it takes from its two inboxes, and whom that is for.

What is sent to a slot goes into the slot's inbox, which the worker that serves reads, and in which messages wait
between two workers. What is sent to everybody, and replies, go into each worker's own inbox: in a reload the slot has
two workers for a while, both of which have to hear a broadcast.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import HANDED, TAKEN
from corepod.worker.ipc import wire
from corepod.worker.ipc.directory import Directory
from corepod.worker.ipc.errors import Full, NobodyListens
from corepod.worker.ipc.inbox import Inbox
from corepod.worker.ipc.message import Sender
from corepod.worker.ipc.outbox import Outcome
from corepod.worker.ipc.subscription import Subscription, Topics
from corepod.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from corepod.worker.ipc.place import Place
    from corepod.worker.ipc.subscription import Replying
    from corepod.worker.ipc.wire import Content, Packet

EARLY_MOST = 64  # broadcasts that are kept for subscriptions which come before the worker is ready
YIELD = 32  # messages after which a sender lets the event loop turn
STRANGERS_MOST = 100  # who aren't asked about again


class Hub:
    """Belongs to the worker's event loop."""

    def __init__(self, place: Place) -> None:
        self._place, self._loop = place, place.loop
        self._thread = threading.get_ident()
        self._directory = Directory(place.loop, place.control, place.record)
        self.answered = self._directory.answered
        self._topics = Topics(self._handed, self._in_loop)
        self._joining: asyncio.Task[None] | None = None
        self._slots: Inbox | None = None  # the slot's inbox
        self._own: Inbox | None = None
        self._requests: dict[int, asyncio.Future[Any]] = {}
        self._last_request = 0
        self._lost = 0  # messages to the slot that its last worker had taken
        self._early: deque[tuple[Packet, Sender]] = deque(maxlen=EARLY_MOST)
        self._strangers: set[tuple[int, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sent = 0

    # For the application

    def subscribe(self, topic: str) -> Subscription:
        """Begins at once; what is sent arrives as soon as the worker has its slot and its inboxes."""
        wire.topic_name(topic)
        subscription = Subscription(self._topics, topic)
        for packet, sender in [early for early in self._early if early[0].topic == topic]:
            self._early.remove((packet, sender))
            self._deliver(packet, sender, counted=False)
        if self._joining is None:
            self._begin_to_join(quiet=False)
        return subscription

    async def joined(self) -> None:
        if self._joining is None:
            self._begin_to_join(quiet=True)
        assert self._joining is not None
        await asyncio.shield(self._joining)

    async def broadcast(self, topic: str, data: Any, within: float) -> list[int]:
        content, me = wire.content(topic, data), self._me()
        await self._directory.refresh()
        outboxes = await self._directory.workers(list(self._directory.listening))
        slots = dict(self._directory.listening)
        full = [number for number, outbox in outboxes.items() if outbox.broadcast(content, me) is Outcome.FULL]
        if full:
            waiting = [outboxes[number].broadcast_in_time(content, me, within) for number in full]
            outcomes = await asyncio.gather(*waiting)
            full = [number for number, outcome in zip(full, outcomes, strict=True) if outcome is Outcome.FULL]
        await self._let_others_run()
        return sorted(slots[number] for number in full)

    async def send(self, slot: int, topic: str, data: Any, within: float) -> None:
        await self._send(slot, wire.content(topic, data), wire.MESSAGE, 0, within)
        await self._let_others_run()

    async def request(self, slot: int, topic: str, data: Any, within: float) -> Any:
        content = wire.content(topic, data)
        self._me()
        self._last_request += 1
        number, answer = self._last_request, self._loop.create_future()
        self._requests[number] = answer
        try:
            async with asyncio.timeout(within):
                await self.joined()
                await self._send(slot, content, wire.REQUEST, number, within)
                packet: Packet = await answer
        except TimeoutError:
            raise TimeoutError(f"slot {slot} hasn't answered a request on {topic!r} within {within:g} s") from None
        finally:
            del self._requests[number]
        if packet.kind == wire.REFUSAL:
            raise NobodyListens(slot, topic)
        return packet.data

    def _me(self) -> int:
        if self._place.me is None:
            raise RuntimeError(
                "this process is a standby without a slot, so it can't send: wait for `ipc.joined()` in a task, not in "
                "the lifespan"
            )
        return self._place.me.worker

    async def _send(self, slot: int, content: Content, kind: int, request: int, within: float) -> None:
        me = self._me()
        while True:
            outbox = await self._directory.slot(slot)
            outcome = await outbox.send(lambda: content.packet(kind, me, 0, request), within)
            if outcome is Outcome.SENT:
                return
            if outcome is Outcome.FULL:
                raise Full(slot, within)
            self._directory.forget_slot(slot, outbox)  # the slot was removed; there may be a new one

    async def _reply(self, worker: int, request: int, content: Content, kind: int) -> bool:
        outbox = (await self._directory.workers([worker])).get(worker)
        if outbox is None:
            return False
        return await outbox.send(lambda: content.packet(kind, self._me(), 0, request), 1.0) is Outcome.SENT

    async def _let_others_run(self) -> None:
        self._sent += 1
        if self._sent % YIELD == 0:
            await asyncio.sleep(0)

    # What the worker does

    def place_changed(self) -> None:
        """The worker has its slot, begins to serve, or stops."""
        if self._slots is not None:
            if self._place.serves and not self._topics.full:
                self._slots.resume()
            elif not self._place.serves:
                self._slots.pause()
        if self._place.ready and self._early:
            self._early.clear()

    def close(self) -> None:
        """In a child of the worker: none of this is its own."""
        for inbox in (self._slots, self._own):
            if inbox is not None:
                inbox.close()
        self._directory.close()

    # Joining

    def _begin_to_join(self, *, quiet: bool) -> None:
        self._joining = self._loop.create_task(self._join(), name="corepod-ipc-join")
        self._joining.add_done_callback(lambda task: self._has_joined(task, quiet=quiet))

    def _has_joined(self, task: asyncio.Task[None], *, quiet: bool) -> None:
        if task.cancelled() or (error := task.exception()) is not None:
            self._joining = None  # the next use tries again
            if not task.cancelled() and not quiet:
                log.error("this worker gets no messages: %s", error)

    async def _join(self) -> None:
        await self._place.placed()
        slots, own, self._lost = await self._directory.join()
        self._slots = Inbox(slots, self._loop, self._take_from_slot, self._taken)
        self._own = Inbox(own, self._loop, self._take_own, lambda count: None)
        self._own.resume()
        self.place_changed()

    # Taking

    def _taken(self, count: int) -> None:
        self._place.record.words[TAKEN] += count

    def _handed(self, count: int) -> None:
        if count:
            self._place.record.words[HANDED] += count
            if not self._topics.full and self._slots is not None and self._place.serves:
                self._slots.resume()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            call()
            return
        try:
            self._loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # the worker has ended

    def _take_from_slot(self, packet: Packet, pid: int) -> bool:
        return self._take(packet, pid, self._slots, counted=True)

    def _take_own(self, packet: Packet, pid: int) -> bool:
        return self._take(packet, pid, self._own, counted=False)

    def _take(self, packet: Packet, pid: int, inbox: Inbox | None, *, counted: bool) -> bool:
        slot = self._directory.slot_of(packet.worker, pid)
        if slot is None:
            assert inbox is not None
            if (packet.worker, pid) in self._strangers:
                self._handed(counted)
                return True
            self._spawn(self._identify(packet, pid, inbox, counted=counted))
            return False
        self._accept(packet, Sender(slot, packet.worker), counted=counted)
        return not (counted and self._topics.full)

    async def _identify(self, packet: Packet, pid: int, inbox: Inbox, *, counted: bool) -> None:
        """The sender isn't known yet. Nothing more is read until it is, so the order stays."""
        try:
            await self._directory.refresh(force=True)
        except OSError as error:
            log.warning("who sends messages can't be asked: %s", error)
        slot = self._directory.slot_of(packet.worker, pid)
        if slot is not None:
            self._accept(packet, Sender(slot, packet.worker), counted=counted)
        else:
            log.warning("a message was dropped: process %d isn't worker %d of this pool", pid, packet.worker)
            if len(self._strangers) < STRANGERS_MOST:
                self._strangers.add((packet.worker, pid))
            self._handed(counted)
        if inbox is self._own:
            inbox.resume()
        else:
            self.place_changed()

    def _accept(self, packet: Packet, sender: Sender, *, counted: bool) -> None:
        if packet.kind in (wire.REPLY, wire.REFUSAL):
            answer = self._requests.get(packet.request)
            if answer is not None and not answer.done():
                answer.set_result(packet)
            self._handed(counted)
        elif not self._deliver(packet, sender, counted=counted):
            self._handed(counted)
            self._not_wanted(packet, sender)

    def _deliver(self, packet: Packet, sender: Sender, *, counted: bool) -> int:
        """To how many subscriptions it has gone."""
        lost = packet.missed
        if counted:
            lost, self._lost = lost + self._lost, 0
        found = self._topics.of(packet.topic)
        reply = self._replying(packet) if packet.kind == wire.REQUEST else None
        for number, subscription in enumerate(found):
            if counted and number:
                self._taken(1)
            if not subscription.put(packet, sender, lost, reply, counted=counted):
                self._handed(counted)
        return len(found)

    def _not_wanted(self, packet: Packet, sender: Sender) -> None:
        if packet.kind == wire.REQUEST:
            refusal = wire.content(packet.topic, None)
            self._spawn(self._refuse(packet, refusal))
        elif not self._place.ready:
            self._early.append((packet, sender))

    async def _refuse(self, packet: Packet, refusal: Content) -> None:
        await self._reply(packet.worker, packet.request, refusal, wire.REFUSAL)

    def _replying(self, packet: Packet) -> Replying:
        async def reply(data: Any) -> bool:
            return await self._reply(packet.worker, packet.request, wire.content(packet.topic, data), wire.REPLY)

        return reply

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
