"""HTTP/1.1 as a `corepod.worker.server.Server`. Another protocol is handed over to the server behind it."""

from __future__ import annotations

import asyncio
import time
from contextlib import contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import STATUS
from corepod.worker.access_log import access_log
from corepod.worker.arrival import arrival
from corepod.worker.http.connection import HttpConnection
from corepod.worker.http.patience import Patience
from corepod.worker.transport import greet

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Iterator

    from corepod.worker.application.instrumented import Instrumented
    from corepod.worker.arrival import Arrival
    from corepod.worker.http.exchange import Exchange
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import AdoptingServer
    from corepod.worker.settings import WorkerSettings


class HttpServer:
    """Implements `corepod.worker.server.Server`, which says what each method is for."""

    def __init__(
        self,
        app: Instrumented,
        settings: WorkerSettings,
        record: ScoreboardRecord,
        tls: ssl.SSLContext | None,
        behind: AdoptingServer,
    ) -> None:
        self.app = app
        self.state: dict[str, Any] = behind.state
        self.connections = behind.connections
        self.ssl = tls
        self.loop = asyncio.get_running_loop()
        body_timeout = 0.0 if settings.debug else settings.body_timeout
        self.patience = Patience(settings.keep_alive, body_timeout, settings.write_timeout)
        self.limit_header = settings.limit_header
        self._queue_timeout = settings.queue_timeout
        self.max_requests, self.max_age = settings.connection_max_requests, settings.connection_max_age
        self.too_slow = f"no more of the request's body has arrived for {settings.body_timeout:g} s\n".encode()
        self.name = b"server: corepod\r\n" if settings.server_header else b""
        self._record, self._behind = record, behind
        self._access_log = access_log(settings)
        self.clock: Callable[[], float] = time.monotonic if settings.access_log else lambda: 0.0
        self._date, self._date_of = b"", 0
        # The loop itself holds tasks weakly.
        self._running: set[Exchange] = set()
        self._greeting: set[HttpConnection] = set()

    @property
    def words(self) -> memoryview[int]:
        """Of the worker's scoreboard record, which is another one after the warm-up."""
        return self._record.words

    def connect(self, sock: socket.socket) -> None:
        self.connections.opened()
        if self.ssl is not None:
            self.connections.on_waiting()  # a handshake comes first
        connection = HttpConnection(self)
        connection.note_arrivals(arrival(sock, self._queue_timeout, tls=self.ssl is not None))
        connection.task = self.loop.create_task(self._greet(sock, connection))
        self._greeting.add(connection)

    async def _greet(self, sock: socket.socket, connection: HttpConnection) -> None:
        if await greet(self.loop, sock, self.ssl, lambda: connection) is None and connection.transport is None:
            self.connections.closed()
        self._greeting.discard(connection)
        connection.task = None

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        tls, access_log = self.ssl, self._access_log
        self.ssl = self._access_log = None
        try:
            yield
        finally:
            self.ssl, self._access_log = tls, access_log

    def announce_close(self) -> None:
        self.max_requests = 0
        self._behind.announce_close()

    def close_websockets(self) -> None:
        self._behind.close_websockets()

    # What connections and exchanges ask for

    def run(self, exchange: Exchange) -> None:
        """Let the application answer this request."""
        self._running.add(exchange)
        exchange.task = self.loop.create_task(exchange.run())

    def ran(self, exchange: Exchange) -> None:
        """The application has returned."""
        self._running.discard(exchange)

    def count(self, exchange: Exchange, status: int) -> None:
        """A request has its answer, or will never have one: then `status` is 0."""
        self.words[STATUS + min(status // 100, 5)] += 1
        if (access_log := self._access_log) is not None:
            took = self.clock() - exchange.started
            access_log.write(exchange.scope, status, exchange.response.get("headers", ()), exchange.size, took)

    def forget(self, connection: HttpConnection) -> None:
        """This connection has come to its end."""
        self.connections.members.discard(connection)
        self.connections.closed()

    def hand_over(self, connection: HttpConnection, data: bytes, arrival: Arrival | None) -> None:
        """Let the server behind serve this connection, which begins with these bytes."""
        self.connections.members.discard(connection)
        self.connections.on_waiting()
        self._behind.adopt(connection.transport, data, write_paused=connection.write_paused, arrival=arrival)

    def date(self) -> bytes:
        """The header line of the present second (RFC 9110, 6.6.1)."""
        now = int(time.time())
        if now != self._date_of:
            self._date_of, self._date = now, f"date: {formatdate(now, usegmt=True)}\r\n".encode()
        return self._date
