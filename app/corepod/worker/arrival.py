"""How long what a connection has brought has waited in the kernel before this worker read it.

TCP_INFO tells when the last data came. For a request in one segment, as most are, that is when it came; where more has
come behind it (a body, the next request) the time looks shorter than it was, never longer. Unix sockets and some
sandboxes don't tell: there nothing has waited.
"""

from __future__ import annotations

import socket
import sys
from time import monotonic

ARRIVED = "corepod.arrived"  # the extension of a scope that has CLOCK_MONOTONIC seconds, removed before the application
_LAST_DATA, _RECEIVED = slice(52, 56), slice(128, 136)  # of struct tcp_info: milliseconds ago; bytes so far


class Arrival:
    """Of one connection. `at`: when what was read last arrived, in seconds of CLOCK_MONOTONIC."""

    __slots__ = ("_handshake", "_sock", "at")

    def __init__(self, sock: socket.socket, *, tls: bool) -> None:
        """`tls`: what waits now is the beginning of a handshake. The request that follows has waited as long, too."""
        self._sock, self.at = sock, monotonic()
        self._handshake = self._waited() if tls else 0.0

    def read(self) -> None:
        """Something has been read."""
        self.at = monotonic() - self._waited() - self._handshake
        self._handshake = 0.0

    def turn(self) -> None:
        """What was read before has its turn only now, because its own client has sent it behind another request."""
        self.at = monotonic()

    def _waited(self) -> float:
        try:
            info = self._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _RECEIVED.stop)
        except OSError:
            return 0.0
        if not any(info[_RECEIVED]):  # silent so far; the time is that of the connection, and nobody has waited
            return 0.0
        return int.from_bytes(info[_LAST_DATA], sys.byteorder) / 1000


def arrival(sock: socket.socket, queue_timeout: float, *, tls: bool) -> Arrival | None:
    """What notes the arrivals of an accepted connection, None where nobody asks or nothing is known."""
    return Arrival(sock, tls=tls) if queue_timeout and sock.family != socket.AF_UNIX else None
