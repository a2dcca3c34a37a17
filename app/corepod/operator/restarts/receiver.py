"""Receives the datagrams by which supervisors report that a worker died."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64  # bytes to read of a datagram; its content is ignored


class DatagramReceiver:
    """A UDP socket that passes on the address of each sender."""

    def __init__(self, address: tuple[str, int], received: Callable[[str], None]) -> None:
        """Raises OSError if the address can't be bound."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._received = received
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind(address)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        threading.Thread(target=self.run, name="datagrams", daemon=True).start()

    def run(self) -> None:
        """Receive datagrams for ever."""
        while True:
            try:
                _, sender = self._socket.recvfrom(SIZE)
            except OSError:
                continue  # an ICMP error about another program's datagram
            self._received(str(sender[0]).removeprefix("::ffff:"))
