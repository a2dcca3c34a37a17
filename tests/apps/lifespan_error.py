"""Says that its start failed, in the words of the protocol."""

from __future__ import annotations


async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database does not answer"})
