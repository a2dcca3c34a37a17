"""hypercorn's WebSocket stream, patched."""

from __future__ import annotations

import asyncio
from math import inf
from time import time
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.events import Request, Response, StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, FrameTooLargeError, WSStream
from wsproto.connection import ConnectionState
from wsproto.events import CloseConnection, Message, Ping
from wsproto.frame_protocol import CloseReason

from corepod.worker.hypercorn.deflate import bound
from corepod.worker.transport import on_the_way, unsent

if TYPE_CHECKING:
    from corepod.worker.hypercorn.configure import ServerConfig
    from corepod.worker.hypercorn.write_progress import ConnectionContext

SERVICE_RESTART = 1012  # close code: the client should reconnect
LEAVING = "service restart"
NO_ANSWER = "keepalive ping timeout"  # the words of other servers
FAREWELL = 2.0  # seconds a client has to answer the close frame
SILENCE = 0.5  # seconds of these after which a client is left that a stop waits for, and that shows no sign of life


class PatchedWebSocket(WSStream):
    """It can be asked to close, tells the application the close code, and tells a client that breaks the rules which
    one it was. Its pings begin after the first interval, end with the session, and expect an answer: in hypercorn a
    peer that has silently gone stays until the kernel gives it up, which is never if its kernel still answers."""

    app: Any  # the worker's Instrumented
    config: ServerConfig
    context: ConnectionContext

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._gone = asyncio.Event()
        self._asked = False
        self._last = CloseConnection(code=CloseReason.ABNORMAL_CLOSURE)
        self._heard = False  # something has come since the last ping
        self._handling = False  # what has come waits for the application, and the answer to a ping may be behind it
        self._refused = False  # the client has broken the rules: nothing it sends is looked at any more

    async def handle(self, event: Any) -> None:
        if isinstance(event, StreamClosed):
            await self._tell_app()
            return
        self._heard = True
        if self._refused:
            return
        was_closed, self._handling = self.closed, True
        try:
            await super().handle(event)
        finally:
            self._handling = False
        if isinstance(event, Request):
            self.context.note_arrival(self.scope)
        if self.closed and not was_closed and not self._gone.is_set():
            # Refused: hypercorn would leave the connection open, and an application that had begun waiting.
            await self.send(StreamClosed(stream_id=self.stream_id))

    async def app_send(self, message: Any) -> None:
        if self.closed and message is not None:
            await asyncio.sleep(0)  # an application that sends without end must not keep its own disconnect from itself
        if message is None and self.state is ASGIWebsocketState.HANDSHAKE and not self.closed:
            # Neither accepted nor refused. hypercorn would count and log its answer twice.
            await self._send_error_response(500)
            self.state = ASGIWebsocketState.HTTPCLOSED
        await super().app_send(message)

    async def _tell_app(self) -> None:
        self.closed = True
        if self.app_put is not None and not self._gone.is_set():
            code, reason = int(self._last.code), self._last.reason or ""
            await self.app_put({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._gone.set()

    async def _accept(self, message: Any) -> None:
        self.state = ASGIWebsocketState.CONNECTED
        status, headers, self.connection = self.handshake.accept(message.get("subprotocol"), message.get("headers", []))
        bound(self.connection, self.config.websocket_max_message_size)
        await self.send(Response(stream_id=self.stream_id, status_code=status, headers=headers))
        await self.config.log.access(self.scope, {"status": status, "headers": []}, time() - self.start_time)
        if self.config.websocket_ping_interval is not None:
            self.task_group.spawn(self._send_pings)
        if getattr(self.config, "leaving", False):
            await self.ask_to_close()

    async def _handle_events(self) -> None:
        for event in self.connection.events():
            if isinstance(event, Message):
                await self._take(event)
            elif isinstance(event, Ping):
                await self._send_wsproto_event(event.response())
            elif isinstance(event, CloseConnection):
                await self._take_close(event)

    async def _take(self, event: Message[Any]) -> None:
        if self.connection.state is not ConnectionState.OPEN:
            return  # RFC 6455, 7.1.1: we have sent a close frame, and only its answer is awaited
        try:
            self.buffer.extend(event)
        except FrameTooLargeError:
            self.buffer.clear()
            await self._close(CloseReason.MESSAGE_TOO_BIG, "")
            return
        if event.message_finished:
            message = self.buffer.to_message()
            self.buffer.clear()
            assert self.app_put is not None
            await self.app_put(message)

    async def _take_close(self, event: CloseConnection) -> None:
        if self.connection.state is ConnectionState.OPEN:  # wsproto's way to say that a frame breaks the rules
            self._refused = True
            if event.code == CloseReason.MESSAGE_TOO_BIG:
                # Closing at once would reset what the client is still sending, and it would never see the code.
                await self._close(event.code, "")
                return
            await self._close(event.code, event.reason)
        elif self.connection.state is ConnectionState.REMOTE_CLOSING:
            await self._send_wsproto_event(event.response())
        await self.send(StreamClosed(stream_id=self.stream_id))

    async def _send_wsproto_event(self, event: Any) -> None:
        if isinstance(event, CloseConnection) and self.connection.state is not ConnectionState.LOCAL_CLOSING:
            self._last = event  # ours, or our answer to the client's
        await super()._send_wsproto_event(event)
        if isinstance(event, CloseConnection):
            self.app.answered(self.scope)  # whatever the application still does, the session has ended in order

    async def _send_pings(self) -> None:
        """Ask whether the peer is there, and end the session when nothing has come from it in time."""
        interval, now = self.config.websocket_ping_interval or 0.0, asyncio.get_running_loop().time
        patience = self.config.websocket_ping_timeout
        rest = interval - patience
        pinged, before, due = False, 0, now() + interval
        while not await self._gone_within(due - now()):
            # What a loop that was busy hasn't read yet may be the answer.
            late = now() > due + patience / 4
            # The ping may be behind what a slow peer still reads.
            reads = 0 < sum(on_the_way(self.context.transport)) < before
            if pinged and not (self._heard or self._handling or late or reads):
                await self._close(CloseReason.INTERNAL_ERROR, NO_ANSWER, patience=0.0)
                return
            if pinged and rest > 0 and await self._gone_within(rest):
                return
            self._heard, due = False, now() + patience
            try:
                await asyncio.wait_for(self._send_wsproto_event(Ping()), patience)
                pinged, before = True, sum(on_the_way(self.context.transport))
            except TimeoutError:
                pinged = False  # the peer reads too little for it to leave: write_timeout decides about that

    async def _gone_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._gone.wait(), seconds)
        except TimeoutError:
            return False
        return True

    async def ask_to_close(self) -> None:
        """Ask the client to reconnect to another worker; the connection of one that doesn't answer is closed."""
        if self.state is ASGIWebsocketState.CONNECTED:
            await self._close(CloseReason(SERVICE_RESTART), LEAVING, silence=SILENCE)

    async def _close(self, code: Any, reason: str | None, patience: float | None = None, silence: float = inf) -> None:
        if not self._asked:
            self._asked = True
            self.task_group.spawn(self._leave, FAREWELL if patience is None else patience, silence)
            await self._send_wsproto_event(CloseConnection(code=code, reason=reason))

    async def _leave(self, patience: float, silence: float) -> None:
        """Wait for the peer to go. One that doesn't is left after `patience`, or when it has been silent."""
        loop = asyncio.get_running_loop()
        end, before = loop.time() + patience, sum(on_the_way(self.context.transport))
        self._heard = False
        while not await self._gone_within(min(silence, end - loop.time())):
            left = sum(on_the_way(self.context.transport))
            # What waits in this process would be lost. One that reads may still have the close frame before it, and one
            # that sends may answer behind its message (RFC 6455, 5.5.1): it would be reset.
            if loop.time() >= end or not (self._heard or self.context.waiting() or 0 < left < before):
                await self._part()
                return
            self._heard, before = False, left

    async def _part(self) -> None:
        if self.scope["http_version"] == "1.1" and unsent(self.context.transport):
            self.context.transport.abort()  # or closing would wait until the peer has read everything
        await self.send(StreamClosed(stream_id=self.stream_id))
