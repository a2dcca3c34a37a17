"""The open connections of a server, whichever implementation serves them, and how they come to their end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from corepod.contract.scoreboard import CONNECTIONS

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.scoreboard import ScoreboardRecord

FIRST_REQUEST = 0.5  # seconds that a connection accepted at the last moment has to bring its request
NEXT_REQUEST = 0.3  # seconds that a connection has which is in use, to bring one more and to be asked to close
IN_USE = 1.0  # seconds since its last bytes for which a connection counts as in use
POLL = 0.02  # seconds


class Connection(Protocol):
    """A connection that speaks HTTP."""

    @property
    def asked(self) -> bool:
        """Whether it has brought a request."""

    @property
    def gone(self) -> bool:
        """Whether its client has closed it, or at least its own half."""

    @property
    def last_read(self) -> float:
        """When its client has last sent something, on the loop's clock."""

    def unsent(self) -> int:
        """Bytes that wait in this process for the kernel to take them."""

    def ask_to_close(self) -> None:
        """Let the next response ask the client to close the connection. Closing an idle connection from this side would
        race with a request that is on its way."""

    def close_websockets(self) -> None:
        """Ask the peers of its WebSockets to connect again."""

    def close_when_idle(self) -> None:
        """Close it as soon as it has nothing left to serve."""


class Connections:
    """Counts connections from the moment they are accepted. `members` are those that speak HTTP, which a connection
    does after its TLS handshake."""

    def __init__(self, record: ScoreboardRecord) -> None:
        self.open = 0
        self.members: set[Connection] = set()
        self.on_count: Callable[[int], None] = lambda count: None  # called with `open` whenever that changes
        self.on_waiting: Callable[[], None] = lambda: None  # called when an accepted connection brings no request now:
        # it has gone, or what has come of it isn't a whole head (see `corepod.worker.accept`)
        self.closing = False  # connections are closed as soon as they are idle
        self._record = record
        self._loop = asyncio.get_running_loop()
        self._none: asyncio.Future[None] | None = None  # its result is set when no connection is left

    def opened(self) -> None:
        """One more has been accepted."""
        self._count(1)

    def closed(self) -> None:
        """One has come to its end."""
        self._count(-1)

    def _count(self, change: int) -> None:
        self.open += change
        self._record.words[CONNECTIONS] = self.open
        if not self.open and self._none is not None:
            self._none.set_result(None)
            self._none = None
        self.on_count(self.open)

    def add(self, connection: Connection) -> None:
        """It speaks HTTP from now on."""
        self.members.add(connection)
        if self.closing:
            connection.close_when_idle()

    def close_idle(self) -> None:
        """Close every connection as soon as it has nothing left to serve, from now on."""
        self.closing = True
        for connection in list(self.members):
            connection.close_when_idle()

    async def until_asked(self) -> None:
        """Wait, briefly, for requests that may be on their way: the first one of a connection that has brought none
        yet, and the next one of a connection in use, whose response then asks the client to close."""
        started = self._loop.time()
        await asyncio.sleep(0)  # a request that has just been read is on its way to the application
        while self._is_expected(self._loop.time() - started, started - IN_USE):
            await self._until_none(POLL)

    def _is_expected(self, waited: float, used_since: float) -> bool:
        """Whether a request may be on its way: the first one of a connection, or the next one of a connection in use,
        whose client would see it reset and could not know whether it was served."""
        silent = self.open > sum(connection.asked for connection in self.members)
        used = any(connection.last_read > used_since and not connection.gone for connection in self.members)
        return (silent and waited < FIRST_REQUEST) or (used and waited < NEXT_REQUEST)

    async def flush(self, patience: float) -> None:
        """Wait up to `patience` seconds until slow clients have taken what is still buffered for them."""
        end = self._loop.time() + patience
        while self._loop.time() < end and any(connection.unsent() for connection in self.members):
            await self._until_none(POLL)

    async def wait_closed(self, patience: float) -> bool:
        """Wait up to `patience` seconds until every connection is closed; whether they all are."""
        await self._until_none(patience)
        return not self.open

    async def _until_none(self, patience: float) -> None:
        if self.open and patience > 0:
            if self._none is None:
                self._none = self._loop.create_future()
            await asyncio.wait([self._none], timeout=patience)
