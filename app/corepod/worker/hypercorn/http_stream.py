"""hypercorn's stream of one HTTP request, patched."""

from __future__ import annotations

import asyncio
from time import time
from typing import TYPE_CHECKING, Any

from hypercorn.protocol.events import Body, EndBody, Request, StreamClosed
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

from corepod.worker.response_head import check_headers, check_status, reason_phrase

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from corepod.worker.hypercorn.write_progress import ConnectionContext


class PatchedHTTPStream(HTTPStream):
    """It is counted and logged once, with the size of what was sent: when its client leaves, or when its response is
    complete, whichever comes first. hypercorn would do so again for the response that the application still makes.

    A head that can't be sent is found before it has changed anything, so that its request still gets a response.
    """

    context: ConnectionContext

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._size = 0  # bytes of the body
        self._deliver, self.send = self.send, self._count

    def _count(self, event: Any) -> Awaitable[None]:
        if type(event) is Body and not self.closed:
            self._size += len(event.data)
        return self._deliver(event)

    async def app_send(self, message: Any) -> None:
        if self.closed and message is not None:
            # Nothing waits any more when the client has gone: an application that sends without end would keep the
            # loop to itself, and never learn that it should stop.
            await asyncio.sleep(0)
        elif message is not None and message["type"] == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            status = check_status(message.get("status"))
            message = {**message, "status": status, "headers": check_headers(status, message.get("headers") or ())}
            reason_phrase(message)
        await super().app_send(message)

    async def handle(self, event: Any) -> None:
        if isinstance(event, StreamClosed):
            await self._client_left()
        else:
            await super().handle(event)
            if isinstance(event, Request):
                self.context.note_arrival(self.scope)

    async def _client_left(self) -> None:
        if self.state is ASGIHTTPState.CLOSED:
            # The rest of a body that nobody has read would hold up the next request on the connection.
            inbox: Any = getattr(self.app_put, "__self__", None)
            if inbox is not None:
                inbox.abandon()
        if self.closed:
            return
        self.closed = True
        if self.state is not ASGIHTTPState.CLOSED:
            self._log(None)
        if self.app_put is not None:
            await self.app_put({"type": "http.disconnect"})

    async def _send_closed(self) -> None:
        if not self.closed:
            await self.send(EndBody(stream_id=self.stream_id))
            self.state = ASGIHTTPState.CLOSED
            if not self.closed:  # else the client has left while this was sent, and is counted
                self._log(self.response)
            await self.send(StreamClosed(stream_id=self.stream_id))

    def _log(self, response: Any) -> None:
        log: Any = self.config.log  # a RequestLog
        log.answered(self.scope, response, self._size, time() - self.start_time)
