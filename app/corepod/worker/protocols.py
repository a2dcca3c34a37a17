"""hypercorn's protocols, mended: what its own do wrong, and what a public port should refuse.

ProtocolWrapper, TCPServer and the protocols look these classes up by name, so `install` puts them in their place.
tests/unit/test_serving.py and test_hostile.py hold each mend. docs/architecture.md says why hypercorn.
"""

from __future__ import annotations

import asyncio
import re
import time
from typing import Any

import h11
import hypercorn.asyncio.tcp_server
import hypercorn.protocol
import hypercorn.protocol.h2
import hypercorn.protocol.h11
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    PingReceived,
    PriorityUpdated,
    RemoteSettingsChanged,
    RequestReceived,
    StreamReset,
)
from h2.exceptions import ProtocolError
from hypercorn.asyncio.task_group import TaskGroup
from hypercorn.events import Closed, RawData
from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.h2 import H2Protocol
from hypercorn.protocol.h11 import H2ProtocolAssumedError, H11Protocol
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from hyperframe.frame import GoAwayFrame
from wsproto.events import CloseConnection, Ping
from wsproto.frame_protocol import CloseReason

NO_LIMIT = 1 << 62
PIECE = 4096  # bytes of HTTP/2 that are worked off before its limits are looked at
CHATTER, CHATTER_A_SECOND = 1000, 33  # frames that ask for work and bring nothing, at once and in the long run
SERVICE_RESTART = 1012  # WebSocket close code: come again
LEAVING = "service restart"
FAREWELL = 2.0  # seconds a WebSocket client has to answer it
SMALL = 4096  # bytes read at once, up to which a head that is too large is left to h11
TARGET = re.compile(rb"[!-~]+")
METHOD = re.compile(rb"[A-Za-z!#$%&'*+.^_`|~0-9-]+")


class Inbox(asyncio.Queue[Any]):
    """What the application receives. In hypercorn's queue an application that answers without reading a long body waits
    for ever to be told that it is done, and its connection with it."""

    _endless = False

    def full(self) -> bool:
        return not self._endless and super().full()

    async def put(self, message: Any) -> None:
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self._endless = True
        await super().put(message)

    def abandon(self) -> None:
        """The application has ended: nobody reads any more, and whoever waits for room may go on."""
        self._endless = True
        while not self.empty():
            self.get_nowait()


class AppTasks(TaskGroup):
    """The tasks of a connection."""

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:
        inbox = Inbox(config.max_app_queue_size)
        self.spawn(self._run_app, app, config, scope, inbox, send)
        return inbox.put

    @staticmethod
    async def _run_app(app: Any, config: Any, scope: Any, inbox: Inbox, send: Any) -> None:
        try:
            await app(scope, inbox.get, send)
        except Exception:
            await config.log.exception("the application raised an exception")
        finally:
            inbox.abandon()
            await send(None)


class MendedH11(H11Protocol):
    """Refuses what two servers in a row might understand differently, and sends a response's head with its first body,
    as ASGI asks: one system call and one packet less pay for all that corepod adds to a request."""

    _read = 0  # bytes, the last time
    _head = b""  # of a response whose body hasn't begun

    async def _send_h11_event(self, event: Any) -> None:
        try:
            data = self._head + (self.connection.send(event) or b"")
        except h11.LocalProtocolError:
            if self.connection.their_state is not h11.ERROR:
                raise
            return
        self._head = data if isinstance(event, h11.Response) else b""
        # The end of a body whose length the head has told is no bytes at all.
        if data and not self._head:
            await self.send(RawData(data))

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData):
            self._read = len(event.data)
        await super().handle(event)

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
        if len(lengths) > 1:
            return 400
        # h11 holds the limit only for a head that is incomplete after a read.
        return 431 if self._read > SMALL and _size(request.headers) > self.config.h11_max_incomplete_size else 0

    def ask_to_close(self) -> None:
        """The next response asks the client to close."""
        self.keep_alive_requests += NO_LIMIT

    @property
    def asked(self) -> bool:
        """Whether there has been a request."""
        return self.keep_alive_requests % NO_LIMIT > 0


class MendedH2(H2Protocol):
    """Closes no connection for what one of its streams did, and no stream before it is finished.

    hypercorn closes a connection over its limit of requests in the middle of the last one. Here the limit announces
    itself, what is open is finished, and only a client that goes on regardless, that resets most of what it asks for
    (CVE-2023-44487) or that floods (CVE-2019-9512 and its kind) is cut off.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._requests = self._resets = self._chatter = 0
        self._since = time.monotonic()
        self._announced_at: int | None = None

    async def handle(self, event: Any) -> None:
        if isinstance(event, RawData) and len(event.data) > PIECE:
            for start in range(0, len(event.data), PIECE):
                if not self.closed:
                    await super().handle(RawData(event.data[start : start + PIECE]))
        else:
            await super().handle(event)
        if self.closed:
            # Nobody sends any more: an application that answers now would wait for ever for its answer to be sent.
            for buffer in self.stream_buffers.values():
                await buffer.close()

    async def _create_stream(self, request: Any) -> None:
        self._requests += 1
        await super()._create_stream(request)
        self.keep_alive_requests = 0  # hypercorn's own limit never applies

    async def _handle_events(self, events: Any) -> None:
        for event in events:
            if isinstance(event, RequestReceived) and (status := self._refusal(event)):
                self.connection.send_headers(event.stream_id, [(b":status", b"%d" % status)], end_stream=True)
                await self._flush()
            elif isinstance(event, DataReceived) and event.stream_id not in self.streams:
                await self._discard(event)
            else:
                self._resets += isinstance(event, StreamReset)
                self._chatter += _is_chatter(event)
                await super()._handle_events([event])
        await self._hold_limits()

    def _refusal(self, event: RequestReceived) -> int:
        headers = dict(event.headers)
        method, path = headers.get(b":method", b""), headers.get(b":path", b"")
        if not METHOD.fullmatch(method) or not TARGET.fullmatch(path):
            return 400
        if method == b"CONNECT" and headers.get(b":protocol") != b"websocket":
            return 501
        return 431 if _size(event.headers) > self.config.h2_max_header_list_size else 0

    async def _discard(self, event: DataReceived) -> None:
        """Data of a request that has its answer already: hypercorn would fail, and the whole connection with it."""
        try:
            self.connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            if event.stream_id not in self.stream_buffers:
                self.connection.reset_stream(event.stream_id, ErrorCodes.NO_ERROR)  # RFC 9113, 8.1: enough, thank you
        except ProtocolError:
            pass  # it is closed by now
        await self._flush()

    async def stream_send(self, event: Any) -> None:
        if isinstance(event, StreamClosed) and self._unfinished(event.stream_id):
            # Without it the client would wait for the rest of the response for ever.
            try:
                self.connection.reset_stream(event.stream_id, ErrorCodes.INTERNAL_ERROR)
            except ProtocolError:
                pass
            await self._flush()
            await self._window_updated(event.stream_id)
        await super().stream_send(event)

    def _unfinished(self, stream_id: int) -> bool:
        stream = self.streams.get(stream_id)
        return isinstance(stream, HTTPStream) and stream.state is not ASGIHTTPState.CLOSED

    async def _hold_limits(self) -> None:
        most = max(1, self.config.keep_alive_max_requests)
        streams = self.config.h2_max_concurrent_streams
        if self._announced_at is None and self._requests >= most:
            await self.announce_close()
        ignored = self._announced_at is not None and self._requests - self._announced_at > streams
        resets = self._resets > max(streams, self._requests // 2)
        chatter = (
            self._chatter > CHATTER and self._chatter > CHATTER + (time.monotonic() - self._since) * CHATTER_A_SECOND
        )
        if (ignored or resets or chatter) and not self.closed:
            self.connection.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            await self._flush()
            await self.send(Closed())

    @property
    def asked(self) -> bool:
        """Whether there has been a request."""
        return self._requests > 0

    async def announce_close(self) -> None:
        """RFC 9113, 6.8: GOAWAY with the greatest stream number says "no new streams, please", and closes nothing."""
        if self._announced_at is None:
            self._announced_at = self._requests
            await self.send(RawData(data=GoAwayFrame(0, last_stream_id=2**31 - 1).serialize()))


class MendedWebSocket(WSStream):
    """Can be asked to leave, tells the application how it was closed, and its pings end with it: hypercorn's own
    sleep on, and the connection counts as open for as long."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._gone = asyncio.Event()
        self._asked = False
        self._last = CloseConnection(code=CloseReason.ABNORMAL_CLOSURE)

    async def handle(self, event: Any) -> None:
        was_closed = self.closed
        if isinstance(event, StreamClosed):
            await self._tell_app()
        else:
            await super().handle(event)
            if self.closed and not was_closed:
                # Refused: hypercorn leaves the connection open, and the application waiting if it had begun.
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def _tell_app(self) -> None:
        self.closed = True
        if self.app_put is not None and not self._gone.is_set():
            code, reason = int(self._last.code), self._last.reason or ""
            await self.app_put({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._gone.set()

    async def _send_wsproto_event(self, event: Any) -> None:
        if isinstance(event, CloseConnection):
            self._last = event  # ours, or our answer to the client's
        await super()._send_wsproto_event(event)

    async def _send_pings(self) -> None:
        while not self.closed:
            await self._send_wsproto_event(Ping())
            try:
                await asyncio.wait_for(self._gone.wait(), self.config.websocket_ping_interval)
            except TimeoutError:
                pass

    async def _accept(self, message: Any) -> None:
        await super()._accept(message)
        if getattr(self.config, "leaving", False):
            await self.ask_to_close()

    async def ask_to_close(self) -> None:
        """Ask the client to come again elsewhere; one that doesn't answer is left."""
        if self.state is ASGIWebsocketState.CONNECTED and not self._asked:
            self._asked = True
            self.task_group.spawn(self._leave)
            await self._send_wsproto_event(CloseConnection(code=SERVICE_RESTART, reason=LEAVING))

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._gone.wait(), FAREWELL)
        except TimeoutError:
            await self.send(StreamClosed(stream_id=self.stream_id))


def _is_chatter(event: Any) -> bool:
    return isinstance(event, PingReceived | RemoteSettingsChanged | PriorityUpdated) or (
        isinstance(event, DataReceived) and not event.data and event.stream_ended is None
    )


def _size(headers: Any) -> int:
    """Bytes of a head, each line with its colon, space and end."""
    return sum(len(name) + len(value) + 4 for name, value in headers)


def install() -> None:
    """Let hypercorn use these classes."""
    for module, name, mended in (
        (hypercorn.protocol, "H11Protocol", MendedH11),
        (hypercorn.protocol, "H2Protocol", MendedH2),
        (hypercorn.protocol.h11, "WSStream", MendedWebSocket),
        (hypercorn.protocol.h2, "WSStream", MendedWebSocket),
        (hypercorn.asyncio.tcp_server, "TaskGroup", AppTasks),
    ):
        if not hasattr(module, name):
            raise ImportError(f"this hypercorn has no {module.__name__}.{name}; corepod needs 0.18")
        setattr(module, name, mended)
