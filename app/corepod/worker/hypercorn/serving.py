"""hypercorn as a `corepod.worker.server.Server`. Only this folder imports hypercorn.

Its public `serve()` binds and accepts right after the lifespan and hangs in `wait_closed` on Python 3.12 and newer, so
its parts are used instead: a TCPServer for each connection, WorkerContext, Config. They are internals, which is why
hypercorn's minor version is pinned.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.protocol.h2 import H2Protocol

from corepod.contract.scoreboard import BYTES_IN, BYTES_OUT
from corepod.worker.connections import Connections
from corepod.worker.hypercorn import patches
from corepod.worker.hypercorn.configure import configure
from corepod.worker.hypercorn.http1 import PatchedH11
from corepod.worker.hypercorn.http2 import PatchedH2
from corepod.worker.hypercorn.request_log import RequestLog
from corepod.worker.hypercorn.websocket import PatchedWebSocket
from corepod.worker.logs import log

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

HANDSHAKE = 10.0  # seconds a TLS handshake may take
TLS_FAREWELL = 2.0  # seconds a client has to answer the close of TLS

patches.install()


class HypercornConnection(TCPServer):
    """One connection."""

    gone = False  # its client has closed it, or at least its own half

    def __init__(self, server: HypercornServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A context of its own: it tells the connection to close when it is idle.
        super().__init__(server.app, server.loop, server.config, WorkerContext(None), server.state, reader, writer)
        self._server = server

    @property
    def transport(self) -> Any:
        """The transport of asyncio or uvloop."""
        return self.writer.transport

    @property
    def asked(self) -> bool:
        """See `corepod.worker.connections.Connection`."""
        http = self._http
        return http is not None and http.asked

    @property
    def last_read(self) -> float:
        """See `corepod.worker.connections.Connection`."""
        protocol = self.writer.transport.get_protocol()
        return protocol.last_read if isinstance(protocol, _CountingProtocol) else 0.0

    @property
    def _http(self) -> Any:
        wrapper = getattr(self, "protocol", None)
        return wrapper.protocol if wrapper is not None else None

    def unsent(self) -> int:
        """See `corepod.worker.connections.Connection`."""
        return self.writer.transport.get_write_buffer_size()

    def ask_to_close(self) -> None:
        """See `corepod.worker.connections.Connection`."""
        http = self._http
        if isinstance(http, PatchedH2):
            self._server.keep(http.announce_close())
        elif isinstance(http, PatchedH11):
            http.ask_to_close()

    def close_websockets(self) -> None:
        """See `corepod.worker.connections.Connection`."""
        http = self._http
        streams = list(http.streams.values()) if isinstance(http, H2Protocol) else [getattr(http, "stream", None)]
        for stream in streams:
            if isinstance(stream, PatchedWebSocket):
                self._server.keep(stream.ask_to_close())

    def close_when_idle(self) -> None:
        """See `corepod.worker.connections.Connection`."""
        self._server.keep(self.context.terminated.set())

    async def _read_data(self) -> None:
        await super()._read_data()
        self.gone = True
        # hypercorn would keep the connection, and its descriptor, until keep_alive is over.
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if self.gone:
            await asyncio.shield(self._initiate_server_close())
        else:
            await super()._idle_timeout()


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
        self.ssl, self.config._log = None, RequestLog(self.config, self.record, access=False)
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
            if (streams := await self._greet(sock)) is not None:
                await self._serve(*streams)
        except Exception:
            log.exception("a connection failed")
        finally:
            self.connections.closed()
            self.connections.on_waiting()

    async def _greet(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        reader = asyncio.StreamReader(loop=self.loop)
        protocol = _CountingProtocol(reader, self.loop, self.record)
        if self.ssl is not None:
            self.connections.on_waiting()  # the first bytes are those of the handshake
        limits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": TLS_FAREWELL} if self.ssl else {}
        try:
            transport, _ = await self.loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.ssl, **limits)
        except OSError:
            sock.close()  # the client has gone, was too slow, or doesn't speak TLS
            return None
        wait_for_kernel(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, self.loop)

    def adopt(self, transport: Any, data: bytes) -> None:
        """Serve a connection that another protocol has begun to read: these are the bytes it has taken. It is counted
        as open already, and its end is counted here."""
        reader = asyncio.StreamReader(loop=self.loop)
        protocol = _CountingProtocol(reader, self.loop, self.record)
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        protocol.last_read = self.loop.time()
        if data:
            reader.feed_data(data)
        self.keep(self._adopted(reader, asyncio.StreamWriter(transport, protocol, reader, self.loop)))

    async def _adopted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except Exception:
            log.exception("a connection failed")
        finally:
            self.connections.closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words, write = self.record.words, writer.write

        def counted(data: Any) -> None:
            words[BYTES_OUT] += len(data)
            write(data)

        writer.write = counted  # type: ignore[method-assign]
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


def wait_for_kernel(transport: Any) -> None:
    """Let a write end when the kernel has all of it, and not when less than 64 KiB are left: what is still in this
    process when it dies is lost."""
    # TLS counts as full when as many bytes are waiting as the limit says: with 0 it always would be.
    tls = transport.get_extra_info("sslcontext") is not None
    transport.set_write_buffer_limits(high=1 if tls else 0)
    # asyncio's TLS has a second buffer below its own. uvloop hides it, so that up to 64 KiB may stay there.
    below = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None)
    if below is not None:
        below.set_write_buffer_limits(high=0)


class _CountingProtocol(asyncio.StreamReaderProtocol):
    """Counts the bytes that arrive, and notes when."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop, record: ScoreboardRecord) -> None:
        super().__init__(reader, loop=loop)
        self._words, self._now = record.words, loop.time
        self.last_read = 0.0

    def data_received(self, data: bytes) -> None:
        self._words[BYTES_IN] += len(data)
        self.last_read = self._now()
        super().data_received(data)
