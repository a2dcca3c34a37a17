"""hypercorn's stream of one HTTP request, patched."""

from __future__ import annotations

from hypercorn.protocol.http_stream import HTTPStream


class PatchedHTTPStream(HTTPStream):
    """It is counted and logged once: when its client leaves, or when its response is complete, whichever comes first.
    hypercorn would do so again for the response that the application still makes."""

    async def _send_closed(self) -> None:
        if not self.closed:
            await super()._send_closed()
