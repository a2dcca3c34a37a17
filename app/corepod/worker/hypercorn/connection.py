"""One connection that hypercorn serves."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.events import Closed
from hypercorn.protocol.h2 import H2Protocol

from corepod.contract.scoreboard import BYTES_IN, BYTES_OUT
from corepod.worker.hypercorn.http1 import PatchedH11
from corepod.worker.hypercorn.http2 import PatchedH2
from corepod.worker.hypercorn.websocket import PatchedWebSocket
from corepod.worker.hypercorn.write_progress import TRANSPORT, ConnectionContext, WriteProgress
from corepod.worker.transport import LINGER, TLS_FAREWELL, on_the_way, unsent

if TYPE_CHECKING:
    from corepod.worker.arrival import Arrival
    from corepod.worker.hypercorn.serving import HypercornServer
    from corepod.worker.hypercorn.write_progress import Facts
    from corepod.worker.scoreboard import ScoreboardRecord


class HypercornConnection(TCPServer):
    """One connection."""

    context: ConnectionContext
    gone = False  # its client has closed it, or at least its own half

    def __init__(self, server: HypercornServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        context = ConnectionContext(writer.transport)
        super().__init__(server.app, server.loop, server.config, context, server.state, reader, writer)
        self._server = server
        self._lingering: asyncio.TimerHandle | None = None
        self._blocked = 0  # writes of which the kernel hasn't taken everything at once
        self._progress = WriteProgress(server.config.write_timeout, self._waiting, self._give_up)
        context.waits, context.waiting = self._progress.waits, self._waiting
        self._words, self._write = server.record.words, writer.write
        writer.write = self._counted  # type: ignore[method-assign]

    async def run(self) -> None:
        """Serve it to its end."""
        try:
            await super().run()
        finally:
            self._progress.stop()

    def _counted(self, data: Any) -> None:
        if self.transport.is_closing():
            raise ConnectionResetError  # asyncio would drop it, and write a line to the log for each
        self._words[BYTES_OUT] += len(data)
        self._write(data)
        if unsent(self.transport):
            self._blocked += 1
            self._progress.waits()

    def _waiting(self) -> Facts:
        if unsent(self.transport):
            # While the transport is blocked, the loop may not have read what opens the windows of streams.
            return {TRANSPORT: (self._blocked, *on_the_way(self.transport))}
        http = self._http
        return http.blocked_streams() if isinstance(http, PatchedH2) else {}

    def _give_up(self, keys: list[int]) -> None:
        http = self._http
        if TRANSPORT in keys:
            self.transport.abort()
        elif isinstance(http, PatchedH2):
            http.give_up(keys)

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
        return protocol.last_read if isinstance(protocol, CountingProtocol) else 0.0

    @property
    def _http(self) -> Any:
        wrapper = getattr(self, "protocol", None)
        return wrapper.protocol if wrapper is not None else None

    def unsent(self) -> int:
        """See `corepod.worker.connections.Connection`."""
        return unsent(self.transport)

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

    async def protocol_send(self, event: Any) -> None:
        if isinstance(event, Closed) and getattr(self._http, "lingers", False):
            # Closing a socket with data unread resets it, and the client might never see its answer.
            half = self.writer.can_write_eof()  # TLS has no half-closed connections: the head has said that it ends
            if half:
                with suppress(OSError):  # the client has reset it since
                    self.writer.write_eof()
            self._lingering = self.loop.call_later(LINGER if half else TLS_FAREWELL, self.writer.close)
        else:
            await super().protocol_send(event)

    async def _initiate_server_close(self) -> None:
        http = self._http
        if isinstance(http, PatchedH11) and http.is_sent_a_body:
            await http.close()
        else:
            await super()._initiate_server_close()

    async def _read_data(self) -> None:
        await super()._read_data()
        self.gone = True
        if self._lingering is not None:
            self._lingering.cancel()
        # hypercorn would keep the connection, and its descriptor, until keep_alive is over.
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if self.gone:
            await asyncio.shield(self._initiate_server_close())
        else:
            await super()._idle_timeout()


class CountingProtocol(asyncio.StreamReaderProtocol):
    """Counts the bytes that arrive, and notes when. `arrival` says how long they had waited, where somebody asks."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
        record: ScoreboardRecord,
        arrival: Arrival | None,
    ) -> None:
        super().__init__(reader, loop=loop)
        self.arrival = arrival
        self._words, self._now = record.words, loop.time
        self.last_read = 0.0

    def data_received(self, data: bytes) -> None:
        self._words[BYTES_IN] += len(data)
        self.last_read = self._now()
        if self.arrival is not None:
            self.arrival.read()
        super().data_received(data)
