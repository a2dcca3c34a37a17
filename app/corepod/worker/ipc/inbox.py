"""The read end of an inbox in the event loop."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from corepod.contract.credentials import ANCILLARY, sender
from corepod.worker.ipc import wire

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from corepod.worker.ipc.wire import Packet

    # Whether to go on with the next one. The pid is that of the sender, as the kernel says.
    Take = Callable[[Packet, int], bool]

BATCH = 32  # packets of one turn of the loop
_FLAGS = int(socket.MSG_DONTWAIT)


class Inbox:
    """Reads while `take` returns true, and again when it is resumed."""

    def __init__(self, fd: int, loop: asyncio.AbstractEventLoop, take: Take, count: Callable[[int], None]) -> None:
        """`count(1)` is called before each packet is read, and `count(-1)` where there was none."""
        self._socket = socket.socket(fileno=fd)
        self._loop, self._take, self._count = loop, take, count
        self._view = memoryview(bytearray(wire.PACKET_MOST + 1))
        self._buffers = [self._view]
        self.reading = False

    def resume(self) -> None:
        if not self.reading and self._socket.fileno() >= 0:
            self.reading = True
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def pause(self) -> None:
        if self.reading:
            self.reading = False
            self._loop.remove_reader(self._socket.fileno())

    def close(self) -> None:
        """In a child of the worker, too: the loop is left alone, for its descriptor is the worker's."""
        self.reading = False
        self._socket.close()

    def _readable(self) -> None:
        for _ in range(BATCH):
            if not self.reading or not self._read_one():
                return

    def _read_one(self) -> bool:
        self._count(1)
        try:
            size, ancillary, _, _ = self._socket.recvmsg_into(self._buffers, ANCILLARY, _FLAGS)
        except (BlockingIOError, InterruptedError):
            self._count(-1)
            return False
        except OSError:
            size, ancillary = 0, []
        if not size and not ancillary:  # nobody can ever write to it again
            self._count(-1)
            self.pause()
            return False
        try:
            if size > wire.PACKET_MOST:
                raise ValueError("too long")
            packet = wire.decode(bytes(self._view[:size]))
        except ValueError:
            self._count(-1)  # not a message: nothing is lost
            return True
        if not self._take(packet, sender(ancillary)):
            self.pause()
        return True
