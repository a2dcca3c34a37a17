"""hypercorn, behind a small interface: the only module that knows it.

Its public `serve()` binds and accepts right after the lifespan and hangs in `wait_closed` on Python 3.12 and newer, so
its parts are used: TCPServer a connection, WorkerContext, Config. They are internals; the version is pinned.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import hypercorn.protocol
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.asyncio.worker_context import WorkerContext
from hypercorn.config import Config
from hypercorn.events import RawData
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hyperframe.frame import GoAwayFrame
from wsproto.events import CloseConnection

from corepod.contract import BYTES_IN, BYTES_OUT, CONNECTIONS
from corepod.worker.door import Door
from corepod.worker.logs import RequestLog

if TYPE_CHECKING:
    from corepod.worker.board import Board

NO_LIMIT = 1 << 62
SERVICE_RESTART = 1012  # WebSocket close code: come again


class PatientH2(H2Protocol):
    """hypercorn closes an HTTP/2 connection over its request limit in the middle of the last request, which is lost.
    Here the limit announces itself (GOAWAY for streams to come) and what is open is finished."""

    def __init__(self, app: Any, config: Config, *args: Any) -> None:
        patient = Config()
        patient.__dict__.update(config.__dict__)
        patient.keep_alive_max_requests = NO_LIMIT
        super().__init__(app, patient, *args)
        self._most_requests = config.keep_alive_max_requests

    async def _handle_events(self, events: Any) -> None:
        await super()._handle_events(events)
        if self.keep_alive_requests >= self._most_requests:
            self._most_requests = NO_LIMIT
            await self.announce_close()

    async def announce_close(self) -> None:
        """RFC 9113, 6.8: GOAWAY with the greatest stream number says "no new streams, please", and closes nothing."""
        await self.send(RawData(data=GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()))


# ProtocolWrapper looks the class up by this name.
setattr(hypercorn.protocol, "H2Protocol", PatientH2)  # noqa: B010 - not exported, so an assignment isn't typed


class Connection(TCPServer):
    """One connection."""

    @property
    def http(self) -> H11Protocol | H2Protocol | None:
        wrapper = getattr(self, "protocol", None)
        return wrapper.protocol if wrapper is not None else None

    async def ask_to_close(self) -> None:
        """Let the client close it: the next response says so. Closing an idle connection ourselves would race with a
        request that is on its way."""
        http = self.http
        if isinstance(http, PatientH2):
            await http.announce_close()
        elif isinstance(http, H11Protocol):
            http.keep_alive_requests = NO_LIMIT

    async def close_websockets(self) -> None:
        """Tell WebSocket clients to come again elsewhere."""
        http = self.http
        streams = list(http.streams.values()) if isinstance(http, H2Protocol) else [getattr(http, "stream", None)]
        for stream in streams:
            if isinstance(stream, WSStream) and stream.state is ASGIWebsocketState.CONNECTED:
                await stream._send_wsproto_event(CloseConnection(code=SERVICE_RESTART, reason="service restart"))


class Server:
    """Serves the application on connections that it is given; it neither binds nor accepts."""

    def __init__(self, app: Any, settings: dict[str, Any], board: Board) -> None:
        self.board = board
        self.door = Door(app, board)
        self.state: dict[str, Any] = {}
        self.connections: set[Connection] = set()
        self._loop = asyncio.get_running_loop()
        self._config = _config(settings, board)
        self._context = WorkerContext(None)
        self._ssl = _ssl_context(self._config, settings)
        self._max_age = settings["connection_max_age"]
        self._tasks: set[asyncio.Task[Any]] = set()
        self.on_count: Any = lambda count: None  # told how many connections are open

    def connect(self, sock: socket.socket) -> None:
        """Serve this accepted connection."""
        self._keep(self._loop.create_task(self._open(sock)))

    async def announce_close(self) -> None:
        """From now on every response asks its client to close the connection."""
        self._config.keep_alive_max_requests = 0
        for connection in list(self.connections):
            await connection.ask_to_close()

    async def close_websockets(self) -> None:
        for connection in list(self.connections):
            await connection.close_websockets()

    async def close_idle(self) -> None:
        """Close every connection as soon as it serves nothing."""
        await self._context.terminated.set()

    async def wait_closed(self, patience: float) -> bool:
        """Whether all connections are gone within this time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=patience)
        return not self._tasks

    async def _open(self, sock: socket.socket) -> None:
        reader = asyncio.StreamReader(loop=self._loop)
        protocol = _Protocol(reader, self._serve, self._loop, self.board)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, sock, ssl=self._ssl)
        except (OSError, ssl.SSLError, asyncio.IncompleteReadError):
            sock.close()  # the client was gone, or doesn't speak TLS

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        words = self.board.words
        write = writer.write

        def counted(data: Any) -> None:
            words[BYTES_OUT] += len(data)
            write(data)

        writer.write = counted  # type: ignore[method-assign]
        task = asyncio.current_task()
        assert task is not None
        self._keep(task)
        connection = Connection(self.door, self._loop, self._config, self._context, self.state, reader, writer)
        timer = self._loop.call_later(self._max_age, self._grow_old, connection) if self._max_age else None
        self._count(connection, 1)
        try:
            await connection
        finally:
            self._count(connection, -1)
            if timer is not None:
                timer.cancel()

    def _count(self, connection: Connection, change: int) -> None:
        (self.connections.add if change > 0 else self.connections.discard)(connection)
        self.board.words[CONNECTIONS] = len(self.connections)
        self.on_count(len(self.connections))

    def _grow_old(self, connection: Connection) -> None:
        self._keep(self._loop.create_task(connection.ask_to_close()))

    def _keep(self, task: asyncio.Task[Any]) -> None:
        # The loop itself holds tasks weakly.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Protocol(asyncio.StreamReaderProtocol):
    """Counts what comes in."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        serve: Any,
        loop: asyncio.AbstractEventLoop,
        board: Board,
    ) -> None:
        super().__init__(reader, serve, loop=loop)
        self._words = board.words

    def data_received(self, data: bytes) -> None:
        self._words[BYTES_IN] += len(data)
        super().data_received(data)


REHEARSAL = b"GET / HTTP/1.1\r\nHost: rehearsal\r\nConnection: close\r\n\r\n"


async def stub(scope: Any, receive: Any, send: Any) -> None:
    """What the rehearsal serves. Asynchronous, because a synchronous endpoint would leave a thread in the template."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def rehearse(settings: dict[str, Any], board: Board, server: Server | None = None) -> None:
    """One request through the whole server over a private socket pair, to a stub: what a first request imports, builds
    and touches is done before a real one comes. The user's application gets no request that it didn't ask for."""
    plain = {**settings, "tls_cert": "", "access_log": False}
    server = server or Server(stub, plain, board)
    app, server.door.app = server.door.app, stub
    context, server._ssl = server._ssl, None
    log, server._config._log = server._config._log, RequestLog(server._config, board, access=False)
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server.connect(theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(REHEARSAL)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.wait_closed(1.0)
    server.door.app, server._ssl, server._config._log = app, context, log
    if b" 200 " not in answer:
        raise RuntimeError(f"the rehearsal failed: hypercorn answered {answer[:200]!r}")


def _config(settings: dict[str, Any], board: Board) -> Config:
    config = Config()
    config.accesslog = config.errorlog = None
    config.access_log_format = settings["access_log_format"]
    config._log = RequestLog(config, board, access=settings["access_log"])
    config.include_server_header = settings["server_header"]
    config.keep_alive_timeout = settings["keep_alive"]
    config.keep_alive_max_requests = settings["connection_max_requests"]
    config.h11_max_incomplete_size = settings["limit_header"]
    config.h2_max_header_list_size = settings["limit_header"]
    config.h2_max_concurrent_streams = settings["http2_max_streams"]
    config.websocket_max_message_size = settings["websocket_max_message"]
    config.websocket_ping_interval = settings["websocket_ping"] or None
    config.root_path = settings["root_path"]
    config.certfile = settings["tls_cert"] or None
    config.keyfile = settings["tls_key"] or None
    config.keyfile_password = settings["tls_key_password"] or None
    if settings["tls_client_ca"]:
        config.ca_certs, config.verify_mode = (
            settings["tls_client_ca"],
            ssl.VerifyMode.CERT_REQUIRED,
        )
    if settings["tls_ciphers"]:
        config.ciphers = settings["tls_ciphers"]
    return config


def _ssl_context(config: Config, settings: dict[str, Any]) -> ssl.SSLContext | None:
    return config.create_ssl_context() if settings["tls_cert"] else None
