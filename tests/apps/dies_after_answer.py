"""Its worker dies in what comes after a complete response, as in a background task; `/before` dies in front of it."""

from __future__ import annotations

import os


async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    if scope["path"] == "/before":
        os._exit(0)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"4")]})
    await send({"type": "http.response.body", "body": b"done"})
    os._exit(0)
