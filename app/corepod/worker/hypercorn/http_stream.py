"""hypercorn's stream of one HTTP request, patched."""

from __future__ import annotations

from typing import Any

from hypercorn.protocol.events import StreamClosed
from hypercorn.protocol.http_stream import ASGIHTTPState, HTTPStream

from corepod.worker.response_head import check_headers, check_status, reason_phrase


class PatchedHTTPStream(HTTPStream):
    """It is counted and logged once: when its client leaves, or when its response is complete, whichever comes first.
    hypercorn would do so again for the response that the application still makes.

    A head that can't be sent is found before it has changed anything, so that its request still gets a response.
    """

    async def _send_closed(self) -> None:
        if not self.closed:
            await super()._send_closed()

    async def app_send(self, message: Any) -> None:
        if message is not None and message["type"] == "http.response.start" and self.state is ASGIHTTPState.REQUEST:
            status = check_status(message.get("status"))
            message = {**message, "status": status, "headers": check_headers(status, message.get("headers") or ())}
            reason_phrase(message)
        await super().app_send(message)

    async def handle(self, event: Any) -> None:
        if isinstance(event, StreamClosed) and self.state is ASGIHTTPState.CLOSED:
            # The rest of a body that nobody has read would hold up the next request on the connection.
            inbox: Any = getattr(self.app_put, "__self__", None)
            if inbox is not None:
                inbox.abandon()
        await super().handle(event)
