"""The sample application. It shows that one worker for each core speeds up computing, and doesn't speed up waiting."""

from __future__ import annotations

import asyncio
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import HTMLResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from corepod import shared
from corepod.demo.answer import Json, explain
from corepod.demo.chat import chat, chat_page
from corepod.demo.counter import counter
from corepod.demo.crash import crash
from corepod.demo.query import number
from corepod.demo.report import DEFAULT_ORDERS, MOST_ORDERS, sales_report
from corepod.demo.visits import visits
from corepod.demo.who import Measured, Signature, who

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

PAGE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")
ENDPOINTS = {
    "/generate-report?size=400000": "computes a report in a thread; size is the number of orders",
    "/generate-report/blocking?size=400000": "the same in the event loop: the worker serves nothing else meanwhile",
    "/wait?seconds=1": "waits; more workers don't make it faster",
    "/whoami": "the worker that answers, and where it runs",
    "/stream?count=5&interval=0.5": "one line at a time, at an interval",
    "/ws": "a WebSocket that echoes",
    "/counter": "a number that is the same in all workers, and in all pods that share their state; POST adds one",
    "/session": "your visits, in a session that all workers and pods know by a cookie; DELETE ends it",
    "/chat": "a chat whose users may be connected to different workers and pods, over /chat/ws",
    "/healthz": "ok",
    "/crash?mode=exit": "only with COREPOD_DEMO_CRASH=1: exit, signal, exception, oom, hang, block",
}
WAITING = "waiting uses no core: one worker waits for thousands of requests at once, and more workers gain nothing"


async def index(request: Request) -> Response:
    """A page for browsers, JSON for everything else."""
    me = who()
    if "text/html" not in request.headers.get("accept", ""):
        return Json({**me, "endpoints": ENDPOINTS})
    name = "worker {worker}, slot {slot}" if me["worker"] is not None else "one process without a pool"
    text = (name + ", core {core}, pid {pid}" + (", pod {pod}" if me["pod"] else "")).format(**me)
    return HTMLResponse(PAGE.replace("WHO_ANSWERED", html.escape(text)), headers={"cache-control": "no-store"})


async def whoami(request: Request) -> Response:
    return Json(who())


def report_in_thread(request: Request) -> Response:
    """Not a coroutine, so starlette runs it in its thread pool: the loop goes on serving, the core is shared."""
    return _report(request, blocking=False)


async def report_in_loop(request: Request) -> Response:
    return _report(request, blocking=True)


def _report(request: Request, *, blocking: bool) -> Response:
    orders = number(request, "size", DEFAULT_ORDERS, 1, MOST_ORDERS)
    with Measured() as measured:
        report = sales_report(orders)
    return Json({**who(), **measured.as_dict(), "blocking": blocking, "report": report})


async def wait(request: Request) -> Response:
    """Stands for a slow database or service: a worker waits for thousands of requests at once."""
    seconds = number(request, "seconds", 1.0, 0.0, 30.0)
    with Measured() as measured:
        await asyncio.sleep(seconds)
    return Json({**who(), "duration_seconds": round(measured.duration, 6), "note": WAITING})


async def stream(request: Request) -> Response:
    count = number(request, "count", 5, 1, 1000)
    interval = number(request, "interval", 0.5, 0.0, 10.0)

    async def lines() -> AsyncIterator[str]:
        for line in range(1, count + 1):
            yield json.dumps({"line": line, "of": count, **who()}) + "\n"
            if line < count:
                await asyncio.sleep(interval)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_json({"hello": who()})
    while (message := await websocket.receive())["type"] == "websocket.receive":
        data = message.get("text")
        if data is None:
            data = message["bytes"].decode("utf-8", "replace")
        me = who()
        await websocket.send_json({"worker": me["worker"], "pid": me["pid"], "echo": data})


async def healthz(request: Request) -> Response:
    return PlainTextResponse("ok\n")


async def unavailable(request: Request, error: Exception) -> Response:
    """What needs the shared state fails while that can't be reached; everything else goes on."""
    return PlainTextResponse("the shared state can't be reached\n", 503, {"retry-after": "1"})


app = Starlette(
    routes=[
        Route("/", index),
        Route("/whoami", whoami),
        Route("/generate-report", report_in_thread),
        Route("/generate-report/blocking", report_in_loop),
        Route("/wait", wait),
        Route("/stream", stream),
        WebSocketRoute("/ws", echo),
        Route("/counter", counter, methods=["GET", "POST"]),
        Route("/session", visits(), methods=["GET", "DELETE"]),
        Route("/chat", chat_page),
        WebSocketRoute("/chat/ws", chat),
        Route("/healthz", healthz),
        Route("/crash", crash),
    ],
    middleware=[Middleware(Signature)],
    exception_handlers={HTTPException: explain, shared.Unavailable: unavailable},
)
