"""What comes into the two inboxes of a worker: who has sent it, and whom it is for."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import HANDED, TAKEN
from corepod.worker.ipc import wire
from corepod.worker.ipc.inbox import Inbox
from corepod.worker.ipc.subscription import Subscription, Topics
from corepod.worker.ipc.turn import Turn
from corepod.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from corepod.worker.ipc.directory import Directory
    from corepod.worker.ipc.message import Sender
    from corepod.worker.ipc.place import Place
    from corepod.worker.ipc.sending import Sending
    from corepod.worker.ipc.subscription import Replying
    from corepod.worker.ipc.wire import Packet

EARLY_MOST = 64  # broadcasts that are kept for subscriptions which come before the worker is ready
STRANGERS_MOST = 100  # who aren't asked about again, and are named in the log
STRANGERS_PAUSE = 0.1  # seconds before one more is asked about: whoever invents senders doesn't busy the supervisor


class Taking:
    """Reads the inboxes while the subscriptions have room."""

    def __init__(self, place: Place, directory: Directory, sending: Sending) -> None:
        self._place, self._directory, self._sending = place, directory, sending
        self._thread = threading.get_ident()
        self._topics = Topics(self._handed, self._in_loop)
        self._slots: Inbox | None = None  # the slot's inbox
        self._own: Inbox | None = None
        self._turn = Turn(place, self._read_slots)
        self._asking = False  # who has sent a message to the slot
        self._lost = 0  # messages to the slot that its last worker had taken
        self._early: deque[tuple[Packet, Sender]] = deque(maxlen=EARLY_MOST)
        self._strangers: set[tuple[int, int]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def subscribe(self, topic: str) -> Subscription:
        subscription = Subscription(self._topics, topic)
        for packet, sender in [early for early in self._early if early[0].topic == topic]:
            self._early.remove((packet, sender))
            self._deliver(packet, sender, counted=False)
        return subscription

    def begin(self, slots: int, own: int, lost: int) -> None:
        """The worker has its inboxes."""
        self._lost = lost
        self._slots = Inbox(slots, self._place.loop, self._take_from_slot, self._taken)
        self._own = Inbox(own, self._place.loop, self._take_own, lambda count: None)
        self._own.resume()
        self.place_changed()

    def place_changed(self) -> None:
        """The worker has its slot, begins to serve, or stops."""
        if self._slots is not None:
            if self._place.serves:
                self._turn.take()
            else:
                self._slots.pause()
                self._end_turn()
        if self._place.ready and self._early:
            self._early.clear()

    def close(self) -> None:
        for inbox in (self._slots, self._own):
            if inbox is not None:
                inbox.close()

    # How many

    def _taken(self, count: int) -> None:
        self._place.record.words[TAKEN] += count

    def _handed(self, count: int) -> None:
        self._place.record.words[HANDED] += count
        if self._place.serves:
            self._read_slots()
        else:
            self._end_turn()

    def _end_turn(self) -> None:
        """What this worker has taken is the application's before the next worker reads what came later."""
        if self._place.unheard <= 0:
            self._turn.end()

    def _read_slots(self) -> None:
        free = not self._asking and not self._topics.full
        if self._slots is not None and free and self._turn.taken and self._place.serves:
            self._slots.resume()

    def _in_loop(self, call: Callable[[], None]) -> None:
        if threading.get_ident() == self._thread:
            call()
            return
        try:
            self._place.loop.call_soon_threadsafe(call)
        except RuntimeError:
            pass  # the worker has ended

    # Who

    def _take_from_slot(self, packet: Packet, pid: int) -> bool:
        sender = self._directory.senders.get((packet.worker, pid))
        if sender is None:
            return self._take_unknown(packet, pid, counted=True)
        self._accept(packet, sender, counted=True)
        return not self._topics.full

    def _take_own(self, packet: Packet, pid: int) -> bool:
        sender = self._directory.senders.get((packet.worker, pid))
        if sender is None:
            return self._take_unknown(packet, pid, counted=False)
        self._accept(packet, sender, counted=False)
        return True

    def _take_unknown(self, packet: Packet, pid: int, *, counted: bool) -> bool:
        if (packet.worker, pid) in self._strangers:
            self._handed(counted)
            return True
        self._asking |= counted
        self._spawn(self._identify(packet, pid, counted=counted))
        return False

    async def _identify(self, packet: Packet, pid: int, *, counted: bool) -> None:
        """The sender isn't known yet. Nothing more is read until it is, so the order stays."""
        many = len(self._strangers) >= STRANGERS_MOST
        if many:
            await asyncio.sleep(STRANGERS_PAUSE)
        await self._ask_who_sends()
        sender = self._directory.senders.get((packet.worker, pid))
        if sender is not None:
            self._accept(packet, sender, counted=counted)
        else:
            self._refuse(packet.worker, pid, many=many)
            self._handed(counted)
        if counted:
            self._asking = False
            self._read_slots()
        elif self._own is not None:
            self._own.resume()

    async def _ask_who_sends(self) -> None:
        while True:
            try:
                return await self._directory.refresh(force=True)
            except TimeoutError as error:  # a worker must not count as a stranger for that
                log.warning("who sends messages isn't known yet, and is asked again: %s", error)
            except OSError as error:
                return log.warning("who sends messages can't be asked: %s", error)

    def _refuse(self, worker: int, pid: int, *, many: bool) -> None:
        if many:
            return
        self._strangers.add((worker, pid))
        log.warning("a message was dropped: process %d isn't worker %d of this pool", pid, worker)
        if len(self._strangers) == STRANGERS_MOST:
            log.warning("messages of others that aren't workers of this pool are dropped, too, and not named any more")

    # For whom

    def _accept(self, packet: Packet, sender: Sender, *, counted: bool) -> None:
        if packet.kind in (wire.REPLY, wire.REFUSAL):
            self._sending.answered(packet)
            self._handed(counted)
        elif not self._deliver(packet, sender, counted=counted):
            self._handed(counted)
            if packet.kind == wire.REQUEST:
                self._spawn(self._say_that_nobody_listens(packet))
            elif not self._place.ready:
                self._early.append((packet, sender))

    def _deliver(self, packet: Packet, sender: Sender, *, counted: bool) -> int:
        """To how many subscriptions it has gone."""
        lost = packet.missed
        found = self._topics.of(packet.topic)
        if counted and found:
            lost, self._lost = lost + self._lost, 0
        reply = self._replying(packet) if packet.kind == wire.REQUEST else None
        if counted and len(found) > 1:
            self._taken(len(found) - 1)
        for subscription in found:
            if not subscription.put(packet, sender, lost, reply, counted=counted):
                self._handed(counted)
        return len(found)

    async def _say_that_nobody_listens(self, packet: Packet) -> None:
        await self._sending.reply(packet, wire.content(packet.topic, None), wire.REFUSAL)

    def _replying(self, packet: Packet) -> Replying:
        async def reply(data: Any) -> bool:
            return await self._sending.reply(packet, wire.content(packet.topic, data))

        return reply

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._place.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
