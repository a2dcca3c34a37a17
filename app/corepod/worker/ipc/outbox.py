"""The write end of an inbox, which all workers that send to it share."""

from __future__ import annotations

import asyncio
import errno
import socket
from enum import Enum
from typing import TYPE_CHECKING

from corepod.worker.ipc import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.ipc.wire import Content

_FLAGS = int(socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
WAITING_MOST = 1000  # senders of this process that wait for room in one inbox
LOOK_AGAIN = 0.05  # seconds after which a sender that waits for room tries again in any case
TOPICS_MOST = 100  # for which it is counted what an inbox has missed


class Outcome(Enum):
    """What became of a packet."""

    SENT = "sent"
    FULL = "full"  # there was no room in time
    GONE = "gone"  # nobody will ever read this inbox


class Outbox:
    """Sends in the order in which it is asked to."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop) -> None:
        self._missed: dict[str, int] = {}  # broadcasts that had no room, by topic: the next one tells
        self._socket = socket.socket(fileno=fd)
        self._loop = loop
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._stuck = False  # a broadcast has waited in vain, and there has been no room since

    def send_now(self, packet: bytes) -> Outcome:
        """FULL where others wait, too."""
        return Outcome.FULL if self._waiting else self._try(packet)

    async def send(self, packet: Callable[[], bytes], within: float) -> Outcome:
        """`packet` makes it when its turn has come."""
        if (outcome := self.send_now(packet())) is not Outcome.FULL:
            return outcome
        return await self._send_in_turn(packet, within)

    def broadcast(self, content: Content, sender: int) -> Outcome:
        """Send it now, and what has been missed before it on this topic."""
        outcome = self.send_now(content.packet(wire.MESSAGE, sender, self._missed.get(content.topic, 0)))
        if outcome is Outcome.SENT:
            self._missed.pop(content.topic, None)
        return outcome

    async def broadcast_in_time(self, content: Content, sender: int, within: float) -> Outcome:
        """Send it when there is room. One that doesn't read holds up a sender once, and not at each broadcast."""
        topic, outcome = content.topic, Outcome.FULL
        try:
            if not self._stuck:
                outcome = await self._send_in_turn(
                    lambda: content.packet(wire.MESSAGE, sender, self._missed.get(topic, 0)), within
                )
                self._stuck = outcome is Outcome.FULL and within > 0
        finally:
            if outcome is not Outcome.FULL:
                self._missed.pop(topic, None)
            elif topic in self._missed or len(self._missed) < TOPICS_MOST:
                self._missed[topic] = self._missed.get(topic, 0) + 1
        return outcome

    async def _send_in_turn(self, packet: Callable[[], bytes], within: float) -> Outcome:
        if self._waiting >= WAITING_MOST or within <= 0:
            return Outcome.FULL
        self._waiting += 1
        try:
            async with asyncio.timeout(within), self._turn:
                while (outcome := self._try(packet())) is Outcome.FULL:
                    await self._room()
                return outcome
        except TimeoutError:
            return Outcome.FULL
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Also while a sender waits for room: others have this end, too, so the kernel would go on watching it."""
        if (fd := self._socket.fileno()) >= 0:
            self._loop.remove_writer(fd)
        self._socket.close()

    def close_in_child(self) -> None:
        """The loop is left alone, for its descriptor is the worker's."""
        self._socket.close()

    def _try(self, packet: bytes) -> Outcome:
        try:
            self._socket.send(packet, _FLAGS)
        except (BlockingIOError, InterruptedError):
            return Outcome.FULL
        except OSError as error:
            # ENOBUFS: the kernel has no memory now. Everything else: the read ends are closed, or this one is.
            return Outcome.FULL if error.errno in (errno.ENOBUFS, errno.ENOMEM) else Outcome.GONE
        self._stuck = False
        return Outcome.SENT

    async def _room(self) -> None:
        if self._socket.fileno() < 0:
            return
        room: asyncio.Future[None] = self._loop.create_future()
        fd = self._socket.fileno()
        self._loop.add_writer(fd, lambda: None if room.done() else room.set_result(None))
        try:
            # With a limit: the kernel calls a socket writable when a quarter of it is in use, and wakes nobody before.
            await asyncio.wait([room], timeout=LOOK_AGAIN)
        finally:
            if self._socket.fileno() == fd:
                self._loop.remove_writer(fd)
