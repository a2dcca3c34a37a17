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

from corepod.contract.scoreboard import BYTES_IN, BYTES_OUT, CONNECTIONS
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
    from collections.abc import Callable, Iterator

    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

HANDSHAKE = 10.0  # seconds a TLS handshake may take
TLS_FAREWELL = 2.0  # seconds a client has to answer the close of TLS
FIRST_REQUEST = 0.5  # seconds that a connection accepted at the last moment has to bring its request
NEXT_REQUEST = 0.3  # seconds that a connection has which is in use, to bring one more and to be asked to close
IN_USE = 1.0  # seconds since its last bytes for which a connection counts as in use
POLL = 0.02  # seconds

patches.install()


class HypercornConnection(TCPServer):
    """One connection."""

    gone = False  # its client has closed it, or at least its own half

    @property
    def asked(self) -> bool:
        """Whether it has brought a request."""
        http = self._http
        return http is not None and http.asked

    @property
    def last_read(self) -> float:
        """When its client has last sent something, on the loop's clock."""
        protocol = self.writer.transport.get_protocol()
        return protocol.last_read if isinstance(protocol, _CountingProtocol) else 0.0

    @property
    def _http(self) -> Any:
        wrapper = getattr(self, "protocol", None)
        return wrapper.protocol if wrapper is not None else None

    async def ask_to_close(self) -> None:
        """Let the next response ask the client to close the connection. Closing an idle connection from this side would
        race with a request that is on its way."""
        http = self._http
        if isinstance(http, PatchedH2):
            await http.announce_close()
        elif isinstance(http, PatchedH11):
            http.ask_to_close()

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

    async def close_websockets(self) -> None:
        http = self._http
        streams = list(http.streams.values()) if isinstance(http, H2Protocol) else [getattr(http, "stream", None)]
        for stream in streams:
            if isinstance(stream, PatchedWebSocket):
                await stream.ask_to_close()


class HypercornServer:
    """Implements `corepod.worker.server.Server`, which says what each method is for."""

    def __init__(
        self, app: Any, settings: WorkerSettings, record: ScoreboardRecord, tls: ssl.SSLContext | None
    ) -> None:
        self._app, self._record = app, record
        self.state: dict[str, Any] = {}
        self.connections: set[HypercornConnection] = set()
        self.config = configure(settings, record)
        self.ssl = tls
        self.on_count: Callable[[int], None] = lambda count: None
        self._loop = asyncio.get_running_loop()
        self._context = WorkerContext(None)
        self._max_age = settings.connection_max_age
        self.open = 0
        self._tasks: set[asyncio.Task[Any]] = set()

    def connect(self, sock: socket.socket) -> None:
        self._count(1)
        self._keep(self._live(sock))

    @contextmanager
    def warming_up(self) -> Iterator[None]:
        context, request_log = self.ssl, self.config._log
        self.ssl, self.config._log = None, RequestLog(self.config, self._record, access=False)
        try:
            yield
        finally:
            self.ssl, self.config._log = context, request_log

    def announce_close(self) -> None:
        self.config.keep_alive_max_requests = 0
        for connection in self.connections:
            self._keep(connection.ask_to_close())

    def close_websockets(self) -> None:
        self.config.leaving = True
        for connection in self.connections:
            self._keep(connection.close_websockets())

    async def close_idle(self) -> None:
        await self._context.terminated.set()

    async def until_asked(self) -> None:
        started = self._loop.time()
        await asyncio.sleep(0)  # a request that has just been read is on its way to the application
        while self._is_expected(self._loop.time() - started, started - IN_USE):
            await asyncio.wait(self._tasks, timeout=POLL)

    def _is_expected(self, waited: float, used_since: float) -> bool:
        """Whether a request may be on its way: the first one of a connection, or the next one of a connection in use,
        whose client would see it reset and could not know whether it was served."""
        silent = self.open > sum(connection.asked for connection in self.connections)
        used = any(connection.last_read > used_since and not connection.gone for connection in self.connections)
        return (silent and waited < FIRST_REQUEST) or (used and waited < NEXT_REQUEST)

    async def flush(self, patience: float) -> None:
        end = self._loop.time() + patience
        while self._loop.time() < end and any(c.writer.transport.get_write_buffer_size() for c in self.connections):
            await asyncio.wait(self._tasks, timeout=POLL)

    async def wait_closed(self, patience: float) -> bool:
        end = self._loop.time() + patience
        while self._tasks and (left := end - self._loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        return not self._tasks

    async def _live(self, sock: socket.socket) -> None:
        try:
            if (streams := await self._greet(sock)) is not None:
                await self._serve(*streams)
        except Exception:
            log.exception("a connection failed")
        finally:
            self._count(-1)

    async def _greet(self, sock: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = _CountingProtocol(reader, self._loop, self._record)
        limits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": TLS_FAREWELL} if self.ssl else {}
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.ssl, **limits)
        except OSError:
            sock.close()  # the client has gone, was too slow, or doesn't speak TLS
            return None
        _wait_for_kernel(transport)
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words, write = self._record.words, writer.write

        def counted(data: Any) -> None:
            words[BYTES_OUT] += len(data)
            write(data)

        writer.write = counted  # type: ignore[method-assign]
        connection = HypercornConnection(self._app, self._loop, self.config, self._context, self.state, reader, writer)
        timer = self._loop.call_later(self._max_age, self._grow_old, connection) if self._max_age else None
        self.connections.add(connection)
        try:
            await connection.run()
        except OSError:
            pass  # the client went away while the connection was being closed
        finally:
            self.connections.discard(connection)
            if timer is not None:
                timer.cancel()

    def _count(self, change: int) -> None:
        self.open += change
        self._record.words[CONNECTIONS] = self.open
        self.on_count(self.open)

    def _grow_old(self, connection: HypercornConnection) -> None:
        self._keep(connection.ask_to_close())

    def _keep(self, coroutine: Any) -> None:
        # The loop itself holds tasks weakly.
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _wait_for_kernel(transport: Any) -> None:
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
