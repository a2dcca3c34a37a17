"""From bytes to requests: what httptools reads becomes an Exchange, and its body's pieces follow.

llhttp, the parser of httptools, checks the syntax of each line and how a body is framed. It bounds neither a head nor
a chunk's extension nor trailers: that is done here. `corepod.worker.http.head` looks at a request as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httptools

from corepod.worker.http.exchange import Exchange
from corepod.worker.http.head import SPECIAL, RefusedError, RequestHead

if TYPE_CHECKING:
    from corepod.worker.http.connection import HttpConnection

PIECE = 16384  # bytes parsed before it is looked whether requests wait: bounds how many a client piles up


class RequestReader:
    """Reads the requests of one connection."""

    __slots__ = (
        "_beyond", "_body_head", "_connection", "_head", "_parser", "_unfruitful", "last", "receiving", "websocket",
    )  # fmt: skip

    def __init__(self, connection: HttpConnection) -> None:
        self.receiving: Exchange | None = None  # whose body is coming
        self.last = False  # a request has said that it is the last one
        self.websocket: bytes | None = None  # the head of a request that asks for it, which is the last one, too
        self._connection = connection
        self._beyond = False  # something came behind the last request
        self._body_head = b""  # a head for the next parser, which reads the body that this one doesn't see
        self._head = RequestHead()
        self._unfruitful = 0  # bytes since a head or a piece of a body was complete
        self._parser: Any = httptools.HttpRequestParser(self)

    def feed(self, data: bytes) -> bytes:
        """Parse these bytes, up to where a request has to wait for the one before it; returns the others.

        Raises RefusedError with the status of the answer.
        """
        if len(data) <= PIECE:
            return self._feed(data)
        for start in range(0, len(data), PIECE):
            left = self._feed(data[start : start + PIECE])
            if left or self._connection.waiting or self.websocket is not None:
                return left + data[start + PIECE :]
        return b""

    def _feed(self, data: bytes) -> bytes:
        if self.last and self.receiving is None:
            self._beyond = True  # behind the last request nothing is read as one
            return b""
        self._unfruitful += len(data)
        upgraded = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as pause:
            upgraded = data[pause.args[0] :]
        except httptools.HttpParserError as error:
            if self.last and self.receiving is None:
                self._beyond = True
                return b""
            raise RefusedError(_status_of(error, data)) from None
        # Not while that exception is handled: the next one's context, which says what is wrong, would be this one.
        if upgraded is not None:
            if self.websocket is not None:
                return upgraded
            # Whoever asks for another protocol than WebSocket goes on with this one (RFC 9110, 7.8).
            self._parser = httptools.HttpRequestParser(self)
            return self._feed(self._body_head + upgraded)
        if self._unfruitful > self._connection.server.limit_header:
            raise RefusedError(431)
        return b""

    @property
    def untouched(self) -> bool:
        """Whether nothing has been parsed since a request, or at all."""
        return not self._unfruitful

    @property
    def has_more(self) -> bool:
        """Whether the client sends something that nobody waits for."""
        return self._beyond or self.receiving is not None

    def forget(self) -> None:
        """Nothing more is read. What refers to each other here would live on until the garbage collector comes."""
        self._parser = self.receiving = None
        del self._connection

    # What the parser calls

    def on_url(self, url: bytes) -> None:
        self._head.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name, value = name.lower(), value.rstrip()  # the parser leaves spaces at the end of a value
        if name in SPECIAL:
            self._head.note(name, value)
        self._head.headers.append((name, value))

    def on_headers_complete(self) -> None:
        head, parser, connection = self._head, self._parser, self._connection
        if self._body_head:
            self._body_head, self._head, self._unfruitful = b"", RequestHead(), 0
            return
        limit = connection.server.limit_header
        is_long = self._unfruitful > limit  # with what comes behind it in the same piece
        self._head = RequestHead()  # trailers come as headers do
        self._unfruitful = 0
        if self.last:
            self._beyond = True
            return
        head.method, head.version = parser.get_method(), parser.get_http_version()
        head.check(limit if is_long else 0)
        if head.is_for_websocket and parser.should_upgrade():
            self.websocket = head.as_bytes()
            return
        if head.upgrade is not None and head.has_body and parser.should_upgrade():
            # httptools takes what follows for the other protocol, and a body would be the next request.
            self._body_head = head.of_body()
        # Proxies of HTTP/1.0 pass on the wish to keep a connection without knowing it (RFC 9112, C.2.2).
        exchange = Exchange(connection, head, keep=head.version == "1.1" and parser.should_keep_alive())
        self.receiving, self.last = exchange, not exchange.keep
        connection.requested(exchange)

    def on_body(self, body: bytes) -> None:
        self._unfruitful = 0
        if self.receiving is not None:
            self.receiving.body_came(body)

    def on_message_complete(self) -> None:
        if self._body_head:
            return
        self._unfruitful = 0
        if self._head.headers:
            self._head = RequestHead()  # without the trailers, which nobody asks for
        if (exchange := self.receiving) is not None:
            self.receiving = None
            exchange.body_ended()


def _status_of(error: httptools.HttpParserError, data: bytes) -> int:
    """The status for what the parser has refused in these bytes."""
    refused, said = error.__context__, str(error)
    if isinstance(refused, RefusedError):
        return refused.status
    if isinstance(error, httptools.HttpParserCallbackError) and refused is not None:
        raise refused
    if isinstance(error, httptools.HttpParserInvalidMethodError):
        return 501 if data[:1].isalpha() else 400  # else it is no request at all, but TLS, for example
    if "nvalid `Transfer-Encoding`" in said:
        return 501
    return 505 if "HTTP version" in said else 400
