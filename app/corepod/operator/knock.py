"""Takes the datagrams of supervisors."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 64  # bytes that are read; none of them matters


class Door:
    """A UDP socket. What comes in is the sender's address and nothing else."""

    def __init__(self, address: tuple[str, int], knocked: Callable[[str], None]) -> None:
        """Raises OSError where the address can't be bound."""
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._knocked = knocked
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        if family == socket.AF_INET6:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self._socket.bind(address)

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def start(self) -> None:
        threading.Thread(target=self.run, name="door", daemon=True).start()

    def run(self) -> None:
        """For ever."""
        while True:
            try:
                _, sender = self._socket.recvfrom(SIZE)
            except OSError:
                continue  # an ICMP error of somebody else's datagram
            self._knocked(str(sender[0]).removeprefix("::ffff:"))
