"""hypercorn's stream of one HTTP request, patched."""

from __future__ import annotations

import asyncio
from typing import Any

from hypercorn.protocol.http_stream import HTTPStream


class PatchedHTTPStream(HTTPStream):
    """It is counted and logged once: when its client leaves, or when its response is complete, whichever comes first.
    hypercorn would do so again for the response that the application still makes."""

    async def app_send(self, message: Any) -> None:
        if self.closed and message is not None:
            # Nothing waits any more when the client has gone: an application that sends without end would keep the
            # loop to itself, and never learn that it should stop.
            await asyncio.sleep(0)
        await super().app_send(message)

    async def _send_closed(self) -> None:
        if not self.closed:
            await super()._send_closed()
