"""Connections that a worker has accepted and whose first bytes don't say yet which slot they belong to."""

from __future__ import annotations

from math import isinf
from typing import TYPE_CHECKING

from corepod.worker.sticky.decisions import look_again

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from corepod.worker.sticky.cookie import Look


class _Connection:
    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.looks, self.silent = sock, 0, False
        self.timer: asyncio.TimerHandle | None = None


class Undecided:
    """A silent one costs a descriptor and no more: browsers open some before they need them."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        keep_alive: float,
        look: Callable[[socket.socket], Look | None],
        decided: Callable[[socket.socket, int | None], None],
        closed: Callable[[], None],
    ) -> None:
        """`look` is called with a connection, `decided` with one that leaves, and the slot that it names; `closed` when
        one was closed that has been silent for `keep_alive` seconds, as the server closes it."""
        self._loop, self._keep_alive = loop, keep_alive
        self._look, self._decided, self._closed = look, decided, closed
        self._waiting: set[_Connection] = set()

    def add(self, sock: socket.socket, look: Look | None) -> None:
        """This one was looked at just now, and that doesn't suffice."""
        connection = _Connection(sock)
        self._waiting.add(connection)
        self._wait(connection, look)

    def decide_all(self) -> None:
        """They are served where they are, whatever comes."""
        for connection in list(self._waiting):
            self._leave(connection)
            self._decided(connection.sock, None)

    def _wait(self, connection: _Connection, look: Look | None) -> None:
        pause = look_again(look, connection.looks)
        if pause is None:
            self._leave(connection)
            self._decided(connection.sock, None if look is None else look.slot)
        elif not isinf(pause):
            connection.looks += 1
            connection.timer = self._loop.call_later(pause, self._again, connection)
        elif not connection.silent:
            connection.silent = True
            self._loop.add_reader(connection.sock, self._spoke, connection)
            connection.timer = self._loop.call_later(self._keep_alive, self._silent_for_long, connection)

    def _again(self, connection: _Connection) -> None:
        self._wait(connection, self._look(connection.sock))

    def _spoke(self, connection: _Connection) -> None:
        if (look := self._look(connection.sock)) is not None:
            self._watch_no_more(connection)
            self._wait(connection, look)

    def _silent_for_long(self, connection: _Connection) -> None:
        if (look := self._look(connection.sock)) is not None:  # it came at the last moment
            self._watch_no_more(connection)
            self._wait(connection, look)
            return
        self._leave(connection)
        connection.sock.close()
        self._closed()

    def _leave(self, connection: _Connection) -> None:
        self._watch_no_more(connection)
        self._waiting.discard(connection)

    def _watch_no_more(self, connection: _Connection) -> None:
        if connection.silent:
            self._loop.remove_reader(connection.sock)
            connection.silent = False
        if connection.timer is not None:
            connection.timer.cancel()
            connection.timer = None
