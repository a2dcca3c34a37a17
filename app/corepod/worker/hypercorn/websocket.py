"""hypercorn's WebSocket stream, patched."""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.ws_stream import ASGIWebsocketState, WSStream
from wsproto.events import CloseConnection, Ping
from wsproto.frame_protocol import CloseReason

SERVICE_RESTART = 1012  # close code: the client should reconnect
LEAVING = "service restart"
FAREWELL = 2.0  # seconds a client has to answer the close frame


class PatchedWebSocket(WSStream):
    """It can be asked to close, tells the application the close code, and stops its pings when it is closed:
    hypercorn's own ping task would sleep on, and the connection would count as open for as long."""

    app: Any  # the worker's Instrumented

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
                # Refused: hypercorn would leave the connection open, and an application that had begun waiting.
                await self.send(StreamClosed(stream_id=self.stream_id))

    async def app_send(self, message: Any) -> None:
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

    async def _send_wsproto_event(self, event: Any) -> None:
        if isinstance(event, CloseConnection):
            self._last = event  # ours, or our answer to the client's
        await super()._send_wsproto_event(event)
        if isinstance(event, CloseConnection):
            self.app.answered(self.scope)  # whatever the application still does, the session has ended in order

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
        """Ask the client to reconnect to another worker; the connection of one that doesn't answer is closed."""
        if self.state is ASGIWebsocketState.CONNECTED and not self._asked:
            self._asked = True
            self.task_group.spawn(self._leave)
            await self._send_wsproto_event(CloseConnection(code=SERVICE_RESTART, reason=LEAVING))

    async def _leave(self) -> None:
        try:
            await asyncio.wait_for(self._gone.wait(), FAREWELL)
        except TimeoutError:
            await self.send(StreamClosed(stream_id=self.stream_id))
