"""One connection that speaks HTTP/1.1: its requests have their turn, and it comes to an end (RFC 9112, 9)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import BYTES_IN
from corepod.worker.arrival import ARRIVED
from corepod.worker.http.flow import Flow
from corepod.worker.http.head import RefusedError
from corepod.worker.http.patience import Facts, Verdict
from corepod.worker.http.reader import RequestReader
from corepod.worker.http.response import refusal
from corepod.worker.transport import LINGER, addresses

if TYPE_CHECKING:
    import asyncio

    from corepod.worker.arrival import Arrival
    from corepod.worker.http.exchange import Exchange
    from corepod.worker.http.server import HttpServer

PREFACE = b"PRI * HTTP/2.0"  # of HTTP/2 by prior knowledge


class HttpConnection(Flow):
    """A `corepod.worker.connections.Connection`."""

    __slots__ = (
        "_arrival", "_born", "_closing", "_current", "_held", "_leaving", "_lingers_since", "_lost", "_reader",
        "_refusal", "_since", "client", "half_closed", "local", "requests", "scheme", "task", "waiting",
    )  # fmt: skip

    def __init__(self, server: HttpServer) -> None:
        super().__init__(server)
        self.task: asyncio.Task[None] | None = None  # until there is a transport
        self.requests = 0
        self.waiting: list[Exchange] = []  # behind the current one; an empty deque has room for 64
        self.half_closed = False  # the client sends nothing any more
        self._reader = RequestReader(self)
        self._current: Exchange | None = None
        self._held = b""  # read, but not parsed before a waiting request has had its turn
        self._refusal = 0  # status for what came behind the waiting requests, and closes the connection
        self._leaving = self._closing = self._lost = False
        self._lingers_since: float | None = None
        self._arrival: Arrival | None = None

    def note_arrivals(self, arrival: Arrival | None) -> None:
        """Tell the application's limits with this how long requests have waited."""
        self._arrival = arrival

    # What asyncio calls

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        server = self.server
        found = addresses(transport)
        self.client, self.local = found or (None, None)
        tls = transport.get_extra_info("ssl_object")
        self.scheme = "http" if tls is None else "https"
        self._born = self._since = server.loop.time()
        self._look_by(self._since + server.patience.keep_alive)
        server.connections.add(self)
        if found is None:
            transport.abort()
        elif tls is not None and tls.selected_alpn_protocol() == "h2":
            self._hand_over(b"")

    def data_received(self, data: bytes) -> None:
        self.server.words[BYTES_IN] += len(data)
        if self._lingers_since is not None or self._refusal:
            return
        if self._arrival is not None and self._reader.receiving is None:  # a piece of a head, or of several
            self._arrival.read()
        if not self.requests and self._reader.untouched:
            self._open(self._held + data)
        elif self._held or self._reader.websocket is not None:
            self._held += data
        else:
            self._parse(data)
        if not self.requests:
            self.server.connections.on_waiting()

    def eof_received(self) -> bool:
        self.half_closed = True
        cut = self._reader.receiving  # it will never be whole
        if cut is not None:
            if cut in self.waiting:
                self.waiting.remove(cut)
            cut.leave()
        if self._current in (None, cut) or self._lingers_since is not None or self.scheme == "https":
            return False  # the transport is closed, as TLS does in any case
        self._current.client_left()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        if self._current is not None:
            self._current.leave()
            self._current = None
        self.waiting.clear()
        super().connection_lost(error)
        self.server.forget(self)
        if not self.requests:
            self.server.connections.on_waiting()
        self._reader.forget()

    # Requests in their turn

    def _open(self, data: bytes) -> None:
        """All that has come so far. The preface may come in pieces, and POST begins as it does."""
        if data.startswith(PREFACE):
            self._hand_over(data)
        elif PREFACE.startswith(data):
            self._held = data
        else:
            self._held = b""
            self._parse(data)

    def _parse(self, data: bytes) -> None:
        try:
            self._held = self._reader.feed(data)
        except RefusedError as error:
            self._refuse(error.status)
            return
        if self.waiting or self._held or self._reader.websocket is not None:
            self.pause_reading()
        if self._reader.websocket is not None and self._current is None:
            self._hand_over_websocket()

    def requested(self, exchange: Exchange) -> None:
        """The head of a request has been read."""
        self.requests += 1
        if self._current is None:
            self._begin(exchange)
        else:
            self.waiting.append(exchange)

    def _begin(self, exchange: Exchange) -> None:
        self._current = exchange
        if self._arrival is not None:
            exchange.scope["extensions"][ARRIVED] = self._arrival.at
        self.server.run(exchange)

    def finished(self, exchange: Exchange) -> None:
        """Its response has been written, or never will be."""
        self._current = None
        self._since = self.server.loop.time()
        if self._closing or not exchange.keep:
            self.close()
        elif self.waiting:
            if self._arrival is not None:
                self._arrival.turn()
            self._begin(self.waiting.pop(0))
            if not self.waiting:
                self._read_on()
        elif self._refusal:
            self._answer_refused(self._refusal)
        elif self._reader.websocket is not None:
            self._hand_over_websocket()
        elif self.half_closed:
            self.close()
        else:
            self.resume_reading()

    def _read_on(self) -> None:
        """No request waits any more. What is held may be the rest of the body of the one that has its turn now."""
        self.resume_reading()
        held, self._held = self._held, b""
        if held:
            self._parse(held)

    def _refuse(self, status: int) -> None:
        """What was read isn't a request, or isn't one that is served. Requests before it have their answers first."""
        exchange = self._reader.receiving
        if exchange is None or exchange in self.waiting:
            if exchange is not None:
                self.waiting.remove(exchange)
            self._refusal = status
            if self._current is None:
                self._answer_refused(status)
        elif exchange.begun:
            exchange.leave()
            self.close()
        else:
            exchange.leave(status)
            self._refusal = status
            self._answer_refused(status)

    def _answer_refused(self, status: int, text: bytes = b"") -> None:
        self.write(refusal(status, self.server.date(), self.server.name, text))
        self.close()

    def _hand_over_websocket(self) -> None:
        self._hand_over((self._reader.websocket or b"") + self._held)

    def _hand_over(self, data: bytes) -> None:
        self._stop_looking()
        self.resume_reading()
        self.server.hand_over(self, data, self._arrival)
        self._reader.forget()

    # What an exchange asks for

    def is_last(self, number: int) -> bool:
        """Whether the response to request `number` of this connection asks the client to close it."""
        server = self.server
        return (
            self._leaving
            or number >= server.max_requests
            or bool(server.max_age and server.loop.time() - self._born >= server.max_age)
        )

    def expect_body(self) -> float:
        """The application waits for more of a body from now on, which is the result, on the loop's clock."""
        now = self.server.loop.time()
        self._look_by(now + self.server.patience.body)
        return now

    # The end

    @property
    def asked(self) -> bool:
        """See `corepod.worker.connections.Connection`."""
        return self.requests > 0

    @property
    def gone(self) -> bool:
        """See `corepod.worker.connections.Connection`."""
        return self._lost or self.half_closed

    @property
    def last_read(self) -> float:
        """See `corepod.worker.connections.Connection`. What is read between two requests is half a head at the most."""
        return self._since

    def ask_to_close(self) -> None:
        """See `corepod.worker.connections.Connection`."""
        self._leaving = True

    def close_websockets(self) -> None:
        """See `corepod.worker.connections.Connection`. They are another protocol's."""

    def close_when_idle(self) -> None:
        """See `corepod.worker.connections.Connection`."""
        self._closing = self._leaving = True  # a response that has yet to begin says so
        if self._current is None:
            self.close()

    def close(self) -> None:
        """Close it when everything has been written. A client that still sends would be answered with a reset, which
        overtakes what it hasn't read: it has a moment to see that nothing more comes."""
        if self._lost or self._lingers_since is not None:
            return
        self._reader.last = True  # also behind what is being parsed, and in what TLS still brings
        if self.half_closed or not (self._refusal or self.waiting or self._held or self._reader.has_more):
            self.transport.close()
            return
        self._lingers_since = self.server.loop.time()
        self._look_by(self._lingers_since + LINGER)
        self.resume_reading()
        if self.transport.can_write_eof():
            with suppress(OSError):  # the client has reset it since
                self.transport.write_eof()

    def _time_is_up(self, verdict: Verdict) -> None:
        if verdict is Verdict.ABORT:
            self.transport.abort()
        elif verdict is Verdict.REFUSE and self._current is not None:
            self._refusal = 408
            self._current.leave(408)
            self._answer_refused(408, self.server.too_slow)
        elif self._lingers_since is not None:
            self.transport.close()
        else:
            self.close()

    def _facts(self) -> Facts:
        current = self._current
        return Facts(
            idle=self._since if current is None else None,
            waits=current.waits_since if current is not None and not current.responds else None,
            stalls=self._stalls_since if self.write_paused else None,
            lingers=self._lingers_since,
        )
