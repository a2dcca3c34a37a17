"""The sockets by which workers hand over connections of sticky sessions: the supervisor makes a pair for each slot, and
no connection passes through it.

What is in a socket waits for the slot's next worker, or for another one: each worker has all ends. So none is ever
closed, and what was in it when its slot was removed isn't lost.
"""

from __future__ import annotations

import os
import socket

from corepod.contract.messages import HANDOVERS_MOST, Handovers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool.state import Process

POOL = 6  # bytes of the pool's random name in its cookies


class HandoverSockets:
    """Who has which of them. A pool without sticky sessions has none of this."""

    def __init__(self) -> None:
        self._pool = os.urandom(POOL).hex()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._known: dict[Process, int] = {}  # how many of them each worker has

    def activate(self, process: Process, slots: int) -> list[tuple[Process, Handovers, list[int]]]:
        """What workers have to be told, and with which descriptors, when this one gets one of so many slots."""
        self._grow(slots)
        self._known[process] = 0
        told = []
        for worker, known in self._known.items():
            for first in range(known, len(self._pairs), HANDOVERS_MOST):
                fds = [end.fileno() for pair in self._pairs[first : first + HANDOVERS_MOST] for end in pair]
                told.append((worker, Handovers(self._pool, first), fds))
            self._known[worker] = len(self._pairs)
        return told

    def forget(self, process: Process) -> None:
        """This worker is gone."""
        self._known.pop(process, None)

    def _grow(self, slots: int) -> None:
        while len(self._pairs) < slots:
            try:
                read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError:
                return  # no descriptor is left: what the cookie of this slot asks for is served where it is accepted
            for end in (read, write):
                end.setblocking(False)  # a property of what all copies share
            self._pairs.append((read, write))
