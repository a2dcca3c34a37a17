"""Takes SLOW_START seconds to start and SLOW_STOP seconds to stop."""

from __future__ import annotations

import asyncio
import os

import ok


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        await ok.app(scope, receive, send)
        return
    await receive()
    await asyncio.sleep(float(os.environ.get("SLOW_START", 0)))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await asyncio.sleep(float(os.environ.get("SLOW_STOP", 0)))
    await send({"type": "lifespan.shutdown.complete"})
