"""hypercorn's HTTP/1.1 protocol, patched."""

from __future__ import annotations

from typing import Any

import h11
from hypercorn.events import Closed, RawData
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol

NO_LIMIT = 1 << 62
SMALL = 4096  # bytes read at once, up to which a head that is too large is left to h11


class PatchedH11(H11Protocol):
    """Refuses requests that two servers in a row might understand differently, and sends a response's head with its
    first body, as ASGI asks: one system call and one packet less pay for all that corepod adds to a request."""

    app: Any  # the worker's Instrumented
    config: Any  # a ServerConfig
    _read = 0  # bytes, the last time
    _left = -1  # bytes of the body of the present response, where its head has announced them
    _head = b""  # of a response whose body hasn't begun

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

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData):
            self._read = len(event.data)
        await super().handle(event)
        if not self.asked:
            self.config.waiting()

    async def _check_protocol(self, request: h11.Request) -> None:
        # HTTP/2 by prior knowledge. An Upgrade to it is ignored: a proxy that passes one on unseen would be bypassed.
        if request.method == b"PRI" and request.target == b"*" and request.http_version == b"2.0":
            raise H2ProtocolAssumedError(b"PRI * HTTP/2.0\r\n\r\n" + self.connection.trailing_data[0])

    async def _create_stream(self, request: h11.Request) -> None:
        if status := self._refusal(request):
            await self._send_error_response(status)
            await self.send(Closed())
        else:
            await super()._create_stream(request)

    def _refusal(self, request: h11.Request) -> int:
        """The status to refuse it with, 0 where it may pass."""
        if request.method == b"CONNECT":
            return 501
        if request.http_version not in (b"1.1", b"1.0"):
            return 505
        lengths = {name for name, _ in request.headers if name in (b"content-length", b"transfer-encoding")}
        # Before HTTP/1.1 there was no chunked body: a proxy of that time takes it for the next request (RFC 9112, 6.1).
        if len(lengths) > 1 or (request.http_version == b"1.0" and b"transfer-encoding" in lengths):
            return 400
        # h11 holds the limit only for a head that is incomplete after a read.
        return 431 if self._read > SMALL and head_size(request.headers) > self.config.h11_max_incomplete_size else 0

    def ask_to_close(self) -> None:
        """The next response asks the client to close."""
        self.keep_alive_requests += NO_LIMIT

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
