"""Receives the datagrams by which supervisors report that a worker died."""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING

from corepod.contract import listening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.operator.threads import WatchedThreads

SIZE = 64  # bytes to read of a datagram; its content is ignored
PAUSE = 0.05  # seconds between two batches
BATCH = 250  # datagrams, about as many as wait in the socket; the kernel drops further ones, at no cost here
IDLE = 1.0  # seconds to wait for a datagram, so that the thread shows that it is alive

# Linux's sock_diag(7): statistics of a socket's memory, of which the last of 9 numbers counts dropped datagrams.
SO_MEMINFO, MEMINFO = 55, struct.Struct("9I")


class DatagramReceiver:
    """A UDP socket that passes on the address of each sender.

    It reads a batch at a time, and passes on each address in it once: a flood would otherwise cost a core. Reports that
    get lost in a flood are made up for by reading every pod in turn.
    """

    def __init__(self, address: tuple[str, int], received: Callable[[str, int], None]) -> None:
        """`received` gets a sender's address and the number of its datagrams.

        Raises OSError if the address can't be bound.
        """
        self._received = received
        self._arrived = select.poll()
        self._socket = listening.bound(*address, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._arrived.register(self._socket, select.POLLIN)

    @property
    def name(self) -> str:
        """HOST:PORT."""
        return listening.name(self._socket)

    @property
    def dropped(self) -> int | None:
        """Datagrams that the kernel has dropped because they were too many; None if it doesn't say."""
        try:
            numbers = MEMINFO.unpack(self._socket.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, MEMINFO.size))
        except (OSError, struct.error):
            return None
        return int(numbers[-1])

    def start(self, threads: WatchedThreads) -> None:
        threads.run("datagrams", self.step)

    def step(self) -> None:
        """Wait for datagrams, and pass on the senders of one batch."""
        if not self._arrived.poll(IDLE * 1000):
            return
        for address, count in Counter(self._batch()).items():
            self._received(address, count)
        time.sleep(PAUSE)

    def _batch(self) -> Iterator[str]:
        for _ in range(BATCH):
            try:
                _, sender = self._socket.recvfrom(SIZE)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error about another program's datagram
            yield listening.plain(str(sender[0]))
