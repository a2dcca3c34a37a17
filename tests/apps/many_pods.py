"""The sample application, the one of docs/sticky.md (chat.py) at /socket.io/, and news that every worker keeps."""

from __future__ import annotations

import asyncio
import json
import os

from chat import app as chat
from chat import server
from corepod import shared
from corepod.demo import app as demo

HEARD: list[object] = []
STATE = {"joined": False}
KEPT = []


@server.event
async def where(sid):
    return os.environ["POD_NAME"]


async def listen():
    with shared.subscribe("news") as messages:
        await shared.joined()
        STATE["joined"] = True
        async for message in messages:
            HEARD.append([message.data, message.lost])


async def news(scope, receive, send):
    """POST /news?FIRST-LAST publishes these numbers; GET has all that this worker has heard."""
    if scope["method"] == "POST":
        first, _, last = scope["query_string"].decode().partition("-")
        for number in range(int(first), int(last) + 1):
            await shared.publish("news", number)
    answer = {"pid": os.getpid(), "pod": os.environ["POD_NAME"], **STATE, "heard": HEARD}
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


async def lifespan(receive, send):
    await receive()
    KEPT.append(asyncio.create_task(listen()))
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
    elif scope["path"] == "/news":
        await news(scope, receive, send)
    else:
        await (chat if scope["path"].startswith("/socket.io/") else demo)(scope, receive, send)
