"""The application every server runs (B6 has one of FastAPI beside, `json_app`). Each answer is the pid of the process
that gave it.

`BENCH_LIBRARIES`, `BENCH_IMPORT_SECONDS`, `BENCH_IMPORT_MB` and `BENCH_LIFESPAN_SECONDS` make its start heavy,
`BENCH_LOOPS` says how much work `/cpu`, `/thread`, `/long` and `/burn` do: a fixed amount, calibrated once a run, the
same for every server.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocketDisconnect

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.websockets import WebSocket

LOOPS = int(os.environ.get("BENCH_LOOPS", "100000"))
BLOCK = 0.010  # seconds a request of /block, /wait (and, by LOOPS, /cpu and /thread) takes


def work(loops: int) -> int:
    """Compute without letting go of the interpreter's lock."""
    value = 1
    for _ in range(loops):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return value


def _heavy_import() -> bytearray:
    for name in os.environ.get("BENCH_LIBRARIES", "").split():
        importlib.import_module(name)
    end = time.thread_time() + float(os.environ.get("BENCH_IMPORT_SECONDS", "0"))
    while time.thread_time() < end:
        work(1000)
    memory = bytearray(int(os.environ.get("BENCH_IMPORT_MB", "0")) << 20)
    memory[::4096] = b"x" * len(memory[::4096])  # an untouched page would not exist
    return memory


BALLAST = _heavy_import()


def _pid() -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


async def index(request: Request) -> PlainTextResponse:
    return _pid()


async def block(request: Request) -> PlainTextResponse:
    """Blocks the event loop without using CPU: what a computing handler does to the others, on any number of cores."""
    time.sleep(BLOCK)  # noqa: ASYNC251 - on purpose
    return _pid()


async def cpu(request: Request) -> PlainTextResponse:
    work(LOOPS)
    return _pid()


def thread(request: Request) -> PlainTextResponse:
    """Synchronous, so that the framework runs it in a thread."""
    work(LOOPS)
    return _pid()


def long(request: Request) -> PlainTextResponse:
    """The same for five times as long: its threads compute nearly without a pause."""
    work(LOOPS * 5)
    return _pid()


async def wait(request: Request) -> PlainTextResponse:
    await asyncio.sleep(BLOCK)
    return _pid()


async def slow(request: Request) -> PlainTextResponse:
    await asyncio.sleep(0.5)
    return _pid()


async def talk(socket: WebSocket) -> None:
    """Stays open until its client or its server ends it."""
    await socket.accept()
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()


async def post(request: Request) -> PlainTextResponse:
    """Reads a body; the answer is its length."""
    return PlainTextResponse(str(len(await request.body())))


async def burn(request: Request) -> PlainTextResponse:
    """Burns the core for about a hundred requests' work at a time."""
    work(LOOPS * 100)
    return _pid()


@contextlib.asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    await asyncio.sleep(float(os.environ.get("BENCH_LIFESPAN_SECONDS", "0")))
    yield


ENDPOINTS = {
    "/": index, "/block": block, "/cpu": cpu, "/thread": thread, "/long": long, "/wait": wait, "/slow": slow,
    "/burn": burn,
}  # fmt: skip
ROUTES = [Route(path, endpoint) for path, endpoint in ENDPOINTS.items()]
ROUTES += [Route("/post", post, methods=["POST"])]
app = Starlette(routes=[*ROUTES, WebSocketRoute("/ws", talk)], lifespan=lifespan)
