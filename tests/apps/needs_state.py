"""Requests that need shared state, and others, as a plain ASGI application."""

from __future__ import annotations

from corepod import shared


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        while True:
            message = await receive()
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return
    if scope["type"] == "websocket":
        await receive()
        if scope["path"] == "/early":
            await shared.increment("visits")
        await send({"type": "websocket.accept"})
        await receive()
        await shared.increment("visits")
        await send({"type": "websocket.send", "text": "counted"})
        return
    path, text = scope["path"], b"well"
    if path == "/state":
        text = b"%d" % await shared.increment("visits")
    elif path == "/chained":
        try:
            await shared.increment("visits")
        except shared.Unavailable as error:
            raise RuntimeError("no visits") from error
    elif path == "/handled":
        try:
            await shared.increment("visits")
        except shared.Unavailable:
            text = b"without state"
    elif path == "/fault":
        try:
            await shared.increment("visits")
        except shared.Unavailable:
            pass
        raise ValueError("a fault of the application")
    elif path == "/begun":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        await shared.increment("visits")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": text})
