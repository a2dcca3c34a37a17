"""The sockets by which connections are handed over: one for each slot, of which every worker has both ends."""

from __future__ import annotations

import errno
import os
import socket
from struct import Struct
from time import monotonic_ns
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SINCE = Struct("q")  # the data of a packet: CLOCK_MONOTONIC in ns at which it was written. Beside it is the connection.
FD = Struct("i")
NO_DESCRIPTOR = (errno.EMFILE, errno.ENFILE)


class FullError(Exception):
    """This process has no descriptor left for a connection."""


class LostError(Exception):
    """A connection has been taken and closed by the kernel: another thread took the last descriptor at that moment."""


class Ends:
    """What is in the socket of a slot stays there until a worker takes it, whichever that is."""

    def __init__(self) -> None:
        self._pairs: dict[int, tuple[socket.socket, socket.socket]] = {}

    def add(self, first: int, fds: list[int]) -> None:
        """The read end and the write end of each slot from `first` on."""
        sockets = [socket.socket(fileno=fd) for fd in fds]
        for slot, pair in enumerate(zip(sockets[::2], sockets[1::2], strict=False), start=first):
            self._pairs[slot] = pair

    def slots(self) -> Iterable[int]:
        return self._pairs.keys()

    def inbox(self, slot: int) -> socket.socket | None:
        """What becomes readable when a connection is handed over to this slot."""
        pair = self._pairs.get(slot)
        return None if pair is None else pair[0]

    def give(self, slot: int, connection: socket.socket) -> bool:
        """Hand this connection over; False where that isn't possible now. The caller closes its own descriptor."""
        pair = self._pairs.get(slot)
        if pair is None:
            return False
        try:
            socket.send_fds(pair[1], [SINCE.pack(monotonic_ns())], [connection.fileno()])
        except OSError:  # full, or too many descriptors of this user are on their way
            return False
        return True

    def waits(self, slot: int) -> float | None:
        """For how many seconds the first connection of this slot has waited, None where none waits."""
        try:
            data = self._pairs[slot][0].recv(SINCE.size, socket.MSG_PEEK)
        except OSError:
            return None
        return (monotonic_ns() - SINCE.unpack(data)[0]) / 1e9 if len(data) == SINCE.size else 0.0

    def take(self, slot: int) -> socket.socket | None:
        """The next connection that waits for this slot, None where none does.

        Raises FullError, and takes nothing: the kernel would close a connection that finds no room. Raises LostError
        where it has done so.
        """
        inbox = self._pairs[slot][0]
        try:
            os.close(os.dup(inbox.fileno()))
        except OSError as error:
            if error.errno in NO_DESCRIPTOR:
                raise FullError from None
            raise
        try:
            # recv_fds would drop the flag.
            _, ancillary, _, _ = inbox.recvmsg(SINCE.size, socket.CMSG_LEN(FD.size), socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            return None
        if not ancillary:
            raise LostError
        connection = socket.socket(fileno=FD.unpack(ancillary[0][2][: FD.size])[0])
        connection.setblocking(False)
        return connection

    def close(self) -> None:
        for pair in self._pairs.values():
            for end in pair:
                end.close()
        self._pairs.clear()
