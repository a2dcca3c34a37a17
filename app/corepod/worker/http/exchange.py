"""A request and its response: `receive` and `send` of ASGI."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.http.response import ABSENT, BY_CLOSING, CHUNKED, response_head
from corepod.worker.logs import log

if TYPE_CHECKING:
    from corepod.worker.http.connection import HttpConnection
    from corepod.worker.http.head import RequestHead

HIGH_WATER = 65536  # bytes of a body that wait for the application, above which nothing is read
COPIED = 65536  # bytes of a body up to which it is copied behind its head, for a single write
DISCARDED = 65536  # bytes of a body that the application hasn't read, up to which the connection goes on
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Exchange:
    """One request of a connection, until its response has been written."""

    __slots__ = (
        "_body", "_connection", "_continues", "_discarded", "_given", "_head", "_left", "_logged", "_method", "_news",
        "_number", "_reads", "_remaining", "_status", "_version", "begun", "complete", "gone", "keep", "more",
        "refused", "response", "scope", "size", "started", "task", "waits_since",
    )  # fmt: skip

    def __init__(self, connection: HttpConnection, head: RequestHead, keep: bool) -> None:
        self.scope = head.scope(connection.scheme, connection.client, connection.local, connection.server.state)
        self.keep = keep  # the connection goes on afterwards
        self.more = True  # of the request is to come
        self.begun = self.complete = False  # the response, as far as it has been written
        self.gone = False  # nobody waits for the response any more
        self.task: asyncio.Task[None] | None = None
        self.waits_since: float | None = None  # on the loop's clock: since when the application waits for the body
        self.refused = False  # the server has answered it, while the application was waiting for its body
        self._connection, self._number = connection, connection.requests + 1
        self._method, self._version = head.method, head.version
        self._continues, self._remaining = head.continues and head.version == "1.1", head.length
        self._body = b""
        self._reads = self._given = False  # the application reads the body; it has been given all of it
        self._news: asyncio.Event | None = None
        self._head: bytes | None = None  # of the response
        self._left = self._status = self._discarded = 0
        self._logged = False
        self.response: dict[str, Any] = {}  # the message http.response.start
        self.size = 0  # bytes of the response's body
        self.started = connection.server.clock()

    async def run(self) -> None:
        """Let the application answer."""
        try:
            await self._connection.server.app(self.scope, self.receive, self.send)
            if not (self.complete or self.gone):
                log.error("the application returned before its response was complete")
        except Exception:
            if not self.refused:  # frameworks turn the disconnect into an exception; the client has its answer
                log.exception("the application raised an exception")
        finally:  # its task may have been cancelled, too
            if not (self.complete or self.gone):
                await self._fail()
            self._connection.server.ran(self)

    async def _fail(self) -> None:
        if self.begun:
            # Cut, so that nobody takes it for whole.
            if self._left == BY_CLOSING:
                self._connection.transport.abort()
            self.keep = False
            self._end(0)
            return
        self._head = None
        headers = [(b"content-length", b"0"), (b"connection", b"close")]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body"})

    # The request

    def body_came(self, data: bytes) -> None:
        """A piece of the body has been read."""
        self._remaining -= len(data)
        if self.complete or self.gone:
            self._discarded += len(data)
            if self._discarded > DISCARDED:
                self._connection.close()
            return
        self._body = self._body + data if self._body else data
        if len(self._body) > HIGH_WATER:
            self._connection.pause_reading()
        self.wake()

    def body_ended(self) -> None:
        """The request has been read to its end."""
        self.more = False
        self.wake()

    async def receive(self) -> dict[str, Any]:
        """See ASGI's specification of the HTTP connection scope."""
        self._reads = True
        while not (self.gone or self.complete):
            if self._body or not (self.more or self._given):
                body, self._body = self._body, b""
                self._given = not self.more
                return {"type": "http.request", "body": body, "more_body": self.more}
            if self._connection.half_closed:
                break
            await self._wait()
        return {"type": "http.disconnect"}

    async def _wait(self) -> None:
        connection = self._connection
        if self.more:
            if self._continues and self._head is None:
                self._continues = False
                connection.write(CONTINUE)
            connection.resume_reading()
            self.waits_since = connection.expect_body()
        if self._news is None:
            self._news = asyncio.Event()
        self._news.clear()
        try:
            await self._news.wait()
        finally:
            self.waits_since = None

    def wake(self) -> None:
        """Let the application see what has changed."""
        if self._news is not None:
            self._news.set()

    def leave(self, status: int = 0) -> None:
        """Nobody waits for the response any more: the client has gone, or was answered with `status` by the server."""
        if not self.gone:
            self.gone, self.refused = True, status > 0
            self._log(status)
            self.wake()

    def client_left(self) -> None:
        """The client sends nothing any more, and may be gone: it counts as one that got no answer, and gets one."""
        self._log(0)
        self.wake()

    # The response

    @property
    def responds(self) -> bool:
        """Whether the application has begun its response."""
        return self._head is not None

    async def send(self, message: dict[str, Any]) -> None:
        """See ASGI's specification of the HTTP connection scope. Raises TypeError, ValueError or RuntimeError
        for a message that can't be sent."""
        if self.gone or (self.begun and self._connection.transport.is_closing()):
            # asyncio would log each write behind a failed one. And an application that sends without end would keep the
            # loop to itself, and never learn that it should stop.
            await asyncio.sleep(0)
            return
        kind = message["type"]
        if kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.body":
            if self._head is None or self.complete:
                raise RuntimeError("http.response.body came before http.response.start, or after the last one")
            connection, more = self._connection, message.get("more_body", False)
            data = self._framed(message.get("body", b""), more)
            if len(data) > COPIED and connection.scheme == "https":
                data = await self._write_in_pieces(data)
            self._write(data)
            if connection.write_paused:
                await connection.drained()  # what a slow client hasn't taken yet is lost with this process
            if not (more and self._left):
                connection.server.app.answered(self.scope)
            if not more and not self.gone:
                self._end(self._status)
        else:
            raise ValueError(f"a message of the type {kind!r} can't be sent in an HTTP connection")

    def _start(self, message: dict[str, Any]) -> None:
        if self._head is not None:
            raise RuntimeError("http.response.start came twice")
        connection = self._connection
        keep = self.keep and not connection.is_last(self._number) and not self._is_left_unread()
        server = connection.server
        self._head, self._left, self.keep = response_head(
            message, self._method, self._version, keep, server.date(), server.name
        )
        self._status, self.response = message["status"], message

    def _is_left_unread(self) -> bool:
        """Whether the application answers without reading a body that is too long to be read for nothing."""
        return self.more and not self._reads and (self._continues or not 0 <= self._remaining <= DISCARDED)

    def _framed(self, body: bytes, more: bool) -> bytes:
        left = self._left
        if left == ABSENT:
            return b""
        if type(body) is not bytes:
            body = bytes(memoryview(body))  # raises TypeError for a text, before anything has been written
        self.size += len(body)
        if left >= 0:
            left -= len(body)
            if left < 0 or (left and not more):
                raise RuntimeError("the response's body isn't as long as its content-length")
            self._left = left
        elif left == CHUNKED:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        return body

    def _write(self, data: bytes) -> None:
        if not self.begun:
            self.begun = True
            head = self._head or b""
            if len(data) <= COPIED:
                data = head + data
            else:
                self._connection.write(head)
        if data:
            self._connection.write(data)

    async def _write_in_pieces(self, data: bytes) -> bytes:
        """All but the last piece, which is the result. TLS passes on at once what it is given in one write, and uvloop
        hides what waits below it: a response would count as sent, and be cut off when TLS has waited for its end."""
        last = (len(data) - 1) // COPIED * COPIED
        for start in range(0, last, COPIED):
            self._write(data[start : start + COPIED])
            if self._connection.write_paused:
                await self._connection.drained()
            if self.gone:
                return b""
        return data[last:]

    def _end(self, status: int) -> None:
        self.complete = True
        self._log(status)
        self._body = b""
        self.wake()
        self._connection.finished(self)

    def _log(self, status: int) -> None:
        if not self._logged:
            self._logged = True
            self._connection.server.count(self, status)
