"""A chat over WebSockets whose users may be connected to different workers: of this pool, or of all pods where `shared`
names a server."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from corepod import shared
from corepod.demo.who import who

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

PAGE = (Path(__file__).parent / "chat.html").read_text(encoding="utf-8")
LONGEST = 500  # characters
TOPIC = "demo/chat"
TRY_AGAIN_LATER = 1013  # close code


async def chat_page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers={"cache-control": "no-store"})


async def chat(websocket: WebSocket) -> None:
    """What a user writes goes to all, with the worker that has got it."""
    await websocket.accept()
    try:
        await _talk(websocket)
    except shared.Unavailable as error:
        await websocket.close(TRY_AGAIN_LATER, str(error)[:100])


async def _talk(websocket: WebSocket) -> None:
    with shared.subscribe(TOPIC) as messages:
        await shared.joined()
        me = who()
        await websocket.send_json({"hello": me})
        passing = asyncio.create_task(_pass_on(messages, websocket))
        try:
            async for text in websocket.iter_text():
                said = {"text": text[:LONGEST], "worker": me["worker"], "pod": me["pod"]}
                await shared.publish(TOPIC, said)
        finally:
            passing.cancel()


async def _pass_on(messages: AsyncIterator[shared.Message], websocket: WebSocket) -> None:
    async for message in messages:
        await websocket.send_json({**message.data, "lost": message.lost})
