"""hypercorn, behind a small interface. Beside this module only its mended parts (`protocols`) and `logs` know it.

Its public `serve()` binds and accepts right after the lifespan and hangs in `wait_closed` on Python 3.12 and newer, so
its parts are used: TCPServer a connection, WorkerContext, Config. They are internals; the version is pinned.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.protocol.h2 import H2Protocol

from corepod.contract.scoreboard import BYTES_IN, BYTES_OUT, CONNECTIONS
from corepod.worker import protocols
from corepod.worker.configure import configure
from corepod.worker.door import Door
from corepod.worker.http1 import MendedH11
from corepod.worker.http2 import MendedH2
from corepod.worker.logs import log
from corepod.worker.websocket import MendedWebSocket

if TYPE_CHECKING:
    import socket

    from corepod.worker.board import Board

HANDSHAKE = 10.0  # seconds a TLS handshake may take
TLS_FAREWELL = 2.0  # seconds a client has to answer the end of TLS
FIRST_REQUEST = 0.5  # seconds that a connection accepted at the last moment has to bring its request
POLL = 0.02  # seconds

protocols.install()


class Connection(TCPServer):
    """One connection."""

    gone = False  # its client has closed it, or at least its own half

    @property
    def asked(self) -> bool:
        """Whether it has brought a request."""
        http = self._http
        return http is not None and http.asked

    @property
    def _http(self) -> Any:
        wrapper = getattr(self, "protocol", None)
        return wrapper.protocol if wrapper is not None else None

    async def ask_to_close(self) -> None:
        """Let the client close it: the next response says so. Closing an idle connection ourselves would race with a
        request that is on its way."""
        http = self._http
        if isinstance(http, MendedH2):
            await http.announce_close()
        elif isinstance(http, MendedH11):
            http.ask_to_close()

    async def _read_data(self) -> None:
        await super()._read_data()
        self.gone = True
        # Its client has gone: hypercorn would keep it, and its descriptor, until keep_alive is over.
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
            if isinstance(stream, MendedWebSocket):
                await stream.ask_to_close()


class Server:
    """Serves the application on connections that it is given; it neither binds nor accepts."""

    def __init__(self, app: Any, settings: dict[str, Any], board: Board) -> None:
        self.board = board
        self.door = Door(app, board)
        self.state: dict[str, Any] = {}
        self.connections: set[Connection] = set()
        self.config = configure(settings, board)
        self.ssl = self.config.create_ssl_context()
        self.on_count: Any = lambda count: None  # told how many connections are open
        self._loop = asyncio.get_running_loop()
        self._context = WorkerContext(None)
        self._max_age = settings["connection_max_age"]
        self.open = 0  # connections, from the moment they were accepted
        self._tasks: set[asyncio.Task[Any]] = set()

    def connect(self, sock: socket.socket) -> None:
        """Serve this accepted connection."""
        self._count(1)
        self._keep(self._live(sock))

    def announce_close(self) -> None:
        """From now on every response asks its client to close the connection."""
        self.config.keep_alive_max_requests = 0
        for connection in self.connections:
            self._keep(connection.ask_to_close())

    def close_websockets(self) -> None:
        """Ask WebSocket clients, those that are just coming too, to come again elsewhere."""
        self.config.leaving = True
        for connection in self.connections:
            self._keep(connection.close_websockets())

    async def close_idle(self) -> None:
        """Close every connection as soon as it serves nothing."""
        await self._context.terminated.set()

    async def until_asked(self) -> None:
        """Wait for the requests of connections that have brought none yet: they may be on their way."""
        end = self._loop.time() + FIRST_REQUEST
        await asyncio.sleep(0)  # a request that has just been read is on its way to the application
        while self._loop.time() < end and self.open > sum(connection.asked for connection in self.connections):
            await asyncio.wait(self._tasks, timeout=POLL)

    async def flush(self, patience: float) -> None:
        """Let slow clients have the end of their responses, within this time."""
        end = self._loop.time() + patience
        while self._loop.time() < end and any(c.writer.transport.get_write_buffer_size() for c in self.connections):
            await asyncio.wait(self._tasks, timeout=POLL)

    async def wait_closed(self, patience: float) -> bool:
        """Whether all connections are gone within this time."""
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
        protocol = _Protocol(reader, self._loop, self.board)
        limits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": TLS_FAREWELL} if self.ssl else {}
        try:
            transport, _ = await self._loop.connect_accepted_socket(lambda: protocol, sock, ssl=self.ssl, **limits)
        except OSError:
            sock.close()  # the client was gone, too slow, or doesn't speak TLS
            return None
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words, write = self.board.words, writer.write

        def counted(data: Any) -> None:
            words[BYTES_OUT] += len(data)
            write(data)

        writer.write = counted  # type: ignore[method-assign]
        door: Any = self.door  # it takes less than hypercorn's wrappers do
        connection = Connection(door, self._loop, self.config, self._context, self.state, reader, writer)
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
        self.board.words[CONNECTIONS] = self.open
        self.on_count(self.open)

    def _grow_old(self, connection: Connection) -> None:
        self._keep(connection.ask_to_close())

    def _keep(self, coroutine: Any) -> None:
        # The loop itself holds tasks weakly.
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Protocol(asyncio.StreamReaderProtocol):
    """Counts what comes in."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop, board: Board) -> None:
        super().__init__(reader, loop=loop)
        self._words = board.words

    def data_received(self, data: bytes) -> None:
        self._words[BYTES_IN] += len(data)
        super().data_received(data)
