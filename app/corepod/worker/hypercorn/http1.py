"""hypercorn's HTTP/1.1 protocol, patched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h11
from hypercorn.events import Closed, RawData, Updated
from hypercorn.protocol.events import Body, Data, EndBody, Response
from hypercorn.protocol.h11 import STREAM_ID, H2ProtocolAssumedError, H11Protocol

from corepod.worker.hypercorn.parser import Parser, in_origin_form, refusal
from corepod.worker.response_head import reason_phrase

if TYPE_CHECKING:
    from corepod.worker.hypercorn.write_progress import ConnectionContext

NO_LIMIT = 1 << 62
SMALL = 4096  # bytes read at once, up to which a head that is too large is left to h11
REST = 64 << 10  # bytes of a request's body that nobody wants, for which its connection is kept


class Lost:
    """In the place of h11's connection when the client's has gone: nothing is read or sent any more."""

    our_state = their_state = h11.ERROR
    they_are_waiting_for_100_continue = False
    trailing_data = (b"", True)

    def receive_data(self, data: bytes) -> None:
        """Ignore it."""

    def next_event(self) -> type[h11.NEED_DATA]:
        """No request comes any more."""
        return h11.NEED_DATA

    def send(self, event: Any) -> bytes:
        """Drop it."""
        return b""


class PatchedH11(H11Protocol):
    """Refuses requests that two servers in a row might understand differently, and sends a response's head with its
    first body, as ASGI asks: one system call and one packet less pay for all that corepod adds to a request."""

    app: Any  # the worker's Instrumented
    context: ConnectionContext
    config: Any  # a ServerConfig
    _read = 0  # bytes, the last time
    _left = -1  # bytes of the body of the present response, where its head has announced them
    _head = b""  # of a response whose body hasn't begun
    _unread = 0  # bytes of the present request's body that are still to come, at least NO_LIMIT / 2 if nobody knows
    over = False  # the connection is being closed, nothing is read any more
    lingers = False  # ... while the client may still be sending

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.connection = self._parser = Parser(self.config.h11_max_incomplete_size)

    # Responses

    async def stream_send(self, event: Any) -> None:
        if isinstance(event, Response):
            await self._send_h11_event(self._response(event.status_code, event.headers))
        else:
            await super().stream_send(event)

    async def _send_error_response(self, status_code: int) -> None:
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await self._send_h11_event(self._response(status_code, headers))
        await self._send_h11_event(h11.EndOfMessage())

    def _response(self, status: int, headers: list[tuple[bytes, bytes]]) -> Any:
        names = {name for name, _ in headers}
        headers = headers + [header for header in self.config.response_headers("h11") if header[0] not in names]
        reason = reason_phrase(getattr(self.stream, "response", None) or {"status": status})
        if status < 200:
            return h11.InformationalResponse(status_code=status, headers=headers, reason=reason)
        if self._is_last():
            headers = [header for header in headers if header[0] != b"connection"] + [(b"connection", b"close")]
        return h11.Response(status_code=status, headers=headers, reason=reason)

    def _is_last(self) -> bool:
        """Whether the connection ends with this response: also where the client may or may not send a body that it has
        announced, or where so much of it is still to come that a new connection is cheaper."""
        waits = self.connection.they_are_waiting_for_100_continue
        return waits or self._unread > REST or self.keep_alive_requests >= self.config.keep_alive_max_requests

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self._head + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        self._head = data if isinstance(event, h11.Response) else b""
        # The end of a body whose length the head has announced takes no bytes.
        if data and not self._head:
            await self.send(RawData(data))
        if isinstance(event, h11.Response):
            self._left = _announced(event.headers)
        elif isinstance(event, h11.Data):
            self._left -= len(event.data)
        if (self._left == 0 and isinstance(event, h11.Data)) or isinstance(event, h11.EndOfMessage):
            self._answered()

    def _answered(self) -> None:
        # A body is complete when as many bytes as announced have left, even if the application hasn't said so yet.
        if (scope := getattr(self.stream, "scope", None)) is not None:
            self.app.answered(scope)

    # Requests

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData):
            if self.over:
                return
            self._read = len(event.data)
        await super().handle(event)
        if isinstance(event, Closed) and self.context.transport.is_closing():
            # A request that has come behind the present one would wait for its turn, and the connection with it.
            self.connection = Lost()  # type: ignore[assignment]
            await self.can_read.set()
        if not self.asked:
            self.config.waiting()

    async def _handle_events(self) -> None:
        while not self.over:
            try:
                event = self.connection.next_event()
            except h11.RemoteProtocolError as error:
                if self.connection.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await self._send_error_response(error.error_status_hint)
                await self.close(refused=True)
                return
            if event is h11.NEED_DATA or isinstance(event, h11.ConnectionClosed):
                return
            if event is h11.PAUSED:
                await self.can_read.clear()
                await self.can_read.wait()
                if (arrival := self.context.arrival) is not None:
                    arrival.turn()
            else:
                await self._handle_event(event)

    async def _handle_event(self, event: Any) -> None:
        stream = self.stream
        if isinstance(event, h11.Request):
            await self.send(Updated(idle=False))
            await self._check_protocol(event)
            await self._create_stream(event)
        elif isinstance(event, h11.Data):
            self._unread -= len(event.data)
            if stream is not None:
                await stream.handle(Body(stream_id=STREAM_ID, data=event.data))
        elif isinstance(event, h11.EndOfMessage):
            self._unread = 0
            if stream is not None:
                await stream.handle(EndBody(stream_id=STREAM_ID))
            else:
                await self._recycle()
        elif isinstance(event, Data) and stream is not None:  # of a WebSocket
            await stream.handle(event)

    async def _check_protocol(self, request: h11.Request) -> None:
        # HTTP/2 by prior knowledge. An Upgrade to it is ignored: a proxy that passes one on unseen would be bypassed.
        if request.method == b"PRI" and request.target == b"*" and request.http_version == b"2.0":
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + self.connection.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        headers = list(request.headers)
        if status := self._refusal(request, headers):
            await self._send_error_response(status)
            await self.close(refused=True)
            return
        chunked = any(name == b"transfer-encoding" for name, _ in headers)
        self._unread = NO_LIMIT if chunked else max(0, _announced(headers))
        app = self.app
        if self.connection.they_are_waiting_for_100_continue:
            self.app = self._continued
        try:
            await super()._create_stream(in_origin_form(request, headers))
        finally:
            self.app = app

    def _refusal(self, request: h11.Request, headers: list[tuple[bytes, bytes]]) -> int:
        if status := refusal(request, headers):
            return status
        # h11 holds the limit only for a head that is incomplete after a read.
        return 431 if self._read > SMALL and head_size(headers) > self.config.h11_max_incomplete_size else 0

    async def _continued(self, scope: Any, receive: Any, send: Any) -> None:
        """The application, whose client sends the body when it is told that somebody will read it."""

        async def read() -> Any:
            # An application that still reads after its response must not continue the next request.
            if self.connection.they_are_waiting_for_100_continue and getattr(self.stream, "scope", None) is scope:
                await self._send_h11_event(
                    h11.InformationalResponse(status_code=100, headers=[], reason=reason_phrase({"status": 100}))
                )
            return await receive()

        await self.app(scope, read, send)

    # Ends

    async def _maybe_recycle(self) -> None:
        await self._close_stream()
        theirs, kept = self.connection.their_state, not self.context.terminated.is_set()
        if kept and self.connection.our_state is h11.DONE and theirs is h11.DONE:
            await self._recycle()
        elif kept and self.connection.our_state is h11.DONE and theirs is h11.SEND_BODY and self._unread <= REST:
            # The rest is read and discarded, within the time that a client has for its next request.
            await self.send(Updated(idle=True))
        else:
            await self.close()

    async def _recycle(self) -> None:
        self.connection.start_next_cycle()
        await self.can_read.set()
        await self.send(Updated(idle=True))

    async def close(self, *, refused: bool = False) -> None:
        """Read nothing more, and close the connection."""
        self.over = True
        self.lingers = refused or self._unread > 0 or self._parser.behind
        await self.can_read.set()
        await self._close_stream()
        await self.send(Closed())

    def ask_to_close(self) -> None:
        """The next response asks the client to close."""
        self.keep_alive_requests += NO_LIMIT

    @property
    def is_sent_a_body(self) -> bool:
        """Whether a request isn't complete yet, though perhaps answered."""
        return self._unread > 0

    @property
    def asked(self) -> bool:
        """Whether there has been a request."""
        return self.keep_alive_requests % NO_LIMIT > 0


def _announced(headers: Any) -> int:
    """The length of the body, -1 where it shows at its end."""
    return next((int(value) for name, value in headers if name == b"content-length"), -1)


def head_size(headers: Any) -> int:
    """Bytes of a head, each line with its colon, space and end."""
    return sum(len(name) + len(value) + 4 for name, value in headers)
