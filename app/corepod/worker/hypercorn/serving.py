"""hypercorn as a `corepod.worker.server.Server`. Only this folder imports hypercorn.

Its public `serve()` binds and accepts right after the lifespan and hangs in `wait_closed` on Python 3.12 and newer, so
its parts are used instead: a TCPServer for each connection, WorkerContext, Config. They are internals, which is why
hypercorn's minor version is pinned.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corepod.worker.arrival import arrival
from corepod.worker.connections import Connections
from corepod.worker.hypercorn import patches
from corepod.worker.hypercorn.configure import configure
from corepod.worker.hypercorn.connection import CountingProtocol, HypercornConnection
from corepod.worker.hypercorn.request_log import RequestLog
from corepod.worker.logs import log
from corepod.worker.transport import greet

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Coroutine, Iterator

    from corepod.worker.arrival import Arrival
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

patches.install()


class HypercornServer:
    """Implements `corepod.worker.server.Server`, which says what each method is for."""

    def __init__(
        self,
        app: Any,
        settings: WorkerSettings,
        record: ScoreboardRecord,
        tls: ssl.SSLContext | None,
    ) -> None:
        self.app, self.record = app, record
        self.state: dict[str, Any] = {}
        self.connections = Connections(record)
        self.config = configure(settings, record)
        self.config.waiting = lambda: self.connections.on_waiting()
        self.ssl = tls
        self.loop = asyncio.get_running_loop()
        self._max_age = settings.connection_max_age
        self._tasks: set[asyncio.Task[Any]] = set()

    def connect(self, sock: socket.socket) -> None:
        self.connections.opened()
        self.keep(self._live(sock))

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        context, request_log = self.ssl, self.config._log
        self.ssl, self.config._log = None, RequestLog(self.config, self.record, None)
        try:
            yield
        finally:
            self.ssl, self.config._log = context, request_log

    def announce_close(self) -> None:
        self.config.keep_alive_max_requests = 0
        for connection in self.connections.members:
            connection.ask_to_close()

    def close_websockets(self) -> None:
        self.config.leaving = True
        for connection in self.connections.members:
            connection.close_websockets()

    async def _live(self, sock: socket.socket) -> None:
        try:
            await self._to_its_end(self._greet_and_serve(sock))
        finally:
            self.connections.on_waiting()

    async def _to_its_end(self, serving: Coroutine[Any, Any, None]) -> None:
        try:
            await serving
        except Exception:
            log.exception("a connection failed")
        finally:
            self.connections.closed()

    async def _greet_and_serve(self, sock: socket.socket) -> None:
        if (streams := await self._greet(sock)) is not None:
            await self._serve(*streams)

    async def _greet(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        reader = asyncio.StreamReader(loop=self.loop)
        noted = arrival(sock, self.config.queue_timeout, tls=self.ssl is not None)
        protocol = CountingProtocol(reader, self.loop, self.record, noted)
        if self.ssl is not None:
            self.connections.on_waiting()  # the first bytes are those of the handshake
        transport = await greet(self.loop, sock, self.ssl, lambda: protocol)
        if transport is None:
            return None
        return reader, asyncio.StreamWriter(transport, protocol, reader, self.loop)

    def adopt(self, transport: Any, data: bytes, *, write_paused: bool, arrival: Arrival | None) -> None:
        """Serve a connection that another protocol has begun to read: these are the bytes it has taken. It is counted
        as open already, and its end is counted here."""
        reader = asyncio.StreamReader(loop=self.loop)
        protocol = CountingProtocol(reader, self.loop, self.record, arrival)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if write_paused:
            protocol.pause_writing()
        protocol.last_read = self.loop.time()
        if data:
            reader.feed_data(data)
        writer = asyncio.StreamWriter(transport, protocol, reader, self.loop)
        self.keep(self._to_its_end(self._serve(reader, writer)))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = HypercornConnection(self, reader, writer)
        timer = self.loop.call_later(self._max_age, connection.ask_to_close) if self._max_age else None
        self.connections.add(connection)
        try:
            await connection.run()
        except OSError:
            pass  # the client went away while the connection was being closed
        finally:
            self.connections.members.discard(connection)
            if timer is not None:
                timer.cancel()

    def keep(self, coroutine: Any) -> None:
        """Run it in a task: the loop itself holds tasks weakly."""
        task = self.loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
