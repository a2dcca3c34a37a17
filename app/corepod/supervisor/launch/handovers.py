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
    from collections.abc import Callable

    from corepod.supervisor.pool.state import Process

POOL = 6  # bytes of the pool's random name in its cookies


class HandoverSockets:
    """Who has which of them. A pool without sticky sessions has none of this."""

    def __init__(self) -> None:
        self._pool = os.urandom(POOL).hex()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._known: dict[Process, int] = {}  # how many of them each worker has

    def activate(self, process: Process, slots: int) -> bool:
        """This worker gets one of so many slots, and has to be told of the sockets. False where no descriptor is left
        for those of all slots: what the cookies of the others ask for is served where it is accepted."""
        self._known[process] = 0
        return self._grow(slots)

    def tell(self, send: Callable[[Process, Handovers, list[int]], bool]) -> None:
        """Tell each worker what it doesn't know. What can't be sent now, because too many descriptors are on their way
        to other workers (ETOOMANYREFS) or a queue is full, is sent by the next call. `send` says whether it was."""
        for worker, known in self._known.items():
            while known < len(self._pairs):
                pairs = self._pairs[known : known + HANDOVERS_MOST]
                if not send(worker, Handovers(self._pool, known, len(pairs)), [e.fileno() for p in pairs for e in p]):
                    break
                known += len(pairs)
            self._known[worker] = known

    def forget(self, process: Process) -> None:
        """This worker is gone."""
        self._known.pop(process, None)

    def _grow(self, slots: int) -> bool:
        while len(self._pairs) < slots:
            try:
                read, write = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            except OSError:
                return False
            for end in (read, write):
                end.setblocking(False)  # a property of what all copies share
            self._pairs.append((read, write))
        return True
