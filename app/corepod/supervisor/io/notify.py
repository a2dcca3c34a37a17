"""Tells the operator that a worker has died: one datagram that says "look at me", and nothing else.

It may get lost, for the operator looks by itself, too. What it must never do is hold up PID 1, and looking up a name
may take seconds: so a short-lived child does it.
"""

from __future__ import annotations

import os
import signal
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

DELAY = 0.2  # seconds after a death: the first moments of the core belong to the next worker
SPACING = 1.0  # seconds between two
PATIENCE = 5  # seconds until the child ends, whatever it waits for
MOST = 8  # addresses of the name, an operator each
DATAGRAM = b"look at me"


class Notifier:
    """Looks at the number of deaths so far, in all slots."""

    def __init__(self, address: str, deaths: Callable[[], int]) -> None:
        """`address` is HOST:PORT."""
        host, _, port = address.rpartition(":")
        self._host, self._port = host.strip("[]").encode(), port
        self._deaths, self._seen = deaths, 0
        self._sent = float("-inf")
        self._due: float | None = None

    def deadline(self) -> float | None:
        """When the next datagram is to be sent."""
        return self._due

    def look(self, now: float) -> None:
        """Send it if it is time."""
        deaths = self._deaths()
        if deaths > self._seen and self._due is None:
            self._due = max(now + DELAY, self._sent + SPACING)
        self._seen = deaths
        if self._due is not None and now >= self._due:
            self._due, self._sent = None, now
            self._send()

    def _send(self) -> None:
        try:
            child = os.fork()
        except OSError:
            return  # no process to be had: nothing here is worth a retry
        if child:
            return  # reaped with the orphans
        try:
            _become_harmless()
            _tell(self._host, self._port)
        except BaseException:
            pass
        finally:
            os._exit(0)


def _become_harmless() -> None:
    signal.set_wakeup_fd(-1)
    for signum in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, signal.SIG_DFL)
    signal.alarm(PATIENCE)
    os.nice(19)
    # Sockets among them: a listener stays open as long as anybody has it.
    os.closerange(3, 1 << 20)


def _tell(host: bytes, port: str) -> None:
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[:MOST]:
        try:
            socket.socket(family, kind, protocol).sendto(DATAGRAM, address)
        except OSError:
            pass  # an address of a family that isn't set up here
