"""Receives the datagrams by which supervisors report that a worker died."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

from corepod.contract import listening

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64  # bytes to read of a datagram; its content is ignored


class DatagramReceiver:
    """A UDP socket that passes on the address of each sender."""

    def __init__(self, address: tuple[str, int], received: Callable[[str], None]) -> None:
        """Raises OSError if the address can't be bound."""
        self._received = received
        self._socket = listening.bound(*address, socket.SOCK_DGRAM)

    @property
    def name(self) -> str:
        """HOST:PORT."""
        return listening.name(self._socket)

    def start(self) -> None:
        threading.Thread(target=self.run, name="datagrams", daemon=True).start()

    def run(self) -> None:
        """Receive datagrams for ever."""
        while True:
            try:
                _, sender = self._socket.recvfrom(SIZE)
            except OSError:
                continue  # an ICMP error about another program's datagram
            self._received(listening.plain(str(sender[0])))
