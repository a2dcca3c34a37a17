"""Its lifespan fails while the file named by FAIL_WHILE exists."""

from __future__ import annotations

import os

import ok


async def app(scope, receive, send):
    if scope["type"] == "lifespan" and os.path.exists(os.environ["FAIL_WHILE"]):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "the queue is held by somebody else"})
        return
    await ok.app(scope, receive, send)
