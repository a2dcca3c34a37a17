"""A chat over WebSockets whose users may be connected to different workers, without a server between these."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse

from corepod import ipc
from corepod.demo.who import who

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

PAGE = (Path(__file__).parent / "chat.html").read_text(encoding="utf-8")
LONGEST = 500  # characters


async def chat_page(request: Request) -> Response:
    return HTMLResponse(PAGE, headers={"cache-control": "no-store"})


async def chat(websocket: WebSocket) -> None:
    """What a user writes goes to all, with the worker that has got it."""
    await websocket.accept()
    with ipc.subscribe("chat") as messages:
        await ipc.joined()
        await websocket.send_json({"hello": who()})
        passing = asyncio.create_task(_pass_on(messages, websocket))
        try:
            async for text in websocket.iter_text():
                await ipc.broadcast("chat", {"text": text[:LONGEST], "worker": who()["worker"]})
        finally:
            passing.cancel()


async def _pass_on(messages: AsyncIterator[ipc.Message], websocket: WebSocket) -> None:
    async for message in messages:
        await websocket.send_json({**message.data, "lost": message.lost})
