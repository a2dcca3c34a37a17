"""Sends messages between its workers, and says how long that took."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import corepod
from corepod import ipc
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

DATA = {"user": 4711, "text": "hello to everybody who listens", "tags": ["a", "b"]}
LONGEST = 60.0  # seconds for everything to arrive


async def _take(messages: AsyncIterator[ipc.Message]) -> None:
    lost = 0
    async for message in messages:
        lost += message.lost
        if message.wants_reply:
            await message.reply(lost)
        elif message.data == "last":
            await ipc.send(message.sender.slot, "done", lost)


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    task = asyncio.create_task(_take(ipc.subscribe("work")))
    yield
    task.cancel()


def _other() -> int:
    me = corepod.this_worker()
    assert me is not None
    return 1 if me.slot == 0 else 0


async def flood(count: int) -> dict[str, object]:
    """Messages a second to another worker, from the first that is sent to the last that the application there gets."""
    slot, started = _other(), time.perf_counter()
    for _ in range(count - 1):
        await ipc.send(slot, "work", DATA, LONGEST)
    lost = await ipc.request(slot, "work", DATA, LONGEST)
    return {"rate": count / (time.perf_counter() - started), "lost": lost}


async def latency(count: int) -> dict[str, object]:
    """Half of the time to an answer, of each of so many requests with pauses between them."""
    slot, found = _other(), []
    for _ in range(count):
        started = time.perf_counter()
        await ipc.request(slot, "work", DATA, LONGEST)
        found.append((time.perf_counter() - started) / 2)
        await asyncio.sleep(0.001)
    return {"latencies": found}


async def broadcast(count: int) -> dict[str, object]:
    """Broadcasts a second, until each worker has got all of them."""
    with ipc.subscribe("done") as done:
        await ipc.joined()
        started, workers, lost = time.perf_counter(), 4, 0
        for _ in range(count - 1):
            await ipc.broadcast("work", DATA, LONGEST)
        await ipc.broadcast("work", "last", LONGEST)
        for _ in range(workers):
            lost += (await anext(done)).data
        return {"rate": count / (time.perf_counter() - started), "lost": lost}


def _answer(measure: Callable[[int], Awaitable[dict[str, object]]]) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(await measure(int(request.query_params["count"])))

    return endpoint


async def block(request: Request) -> Response:
    """Who answers: the bench asks until each worker has, which blocks a while so that the others have a chance."""
    time.sleep(0.01)  # noqa: ASYNC251 - as said
    return PlainTextResponse(str(os.getpid()))


app = Starlette(
    routes=[
        Route("/", block),
        Route("/block", block),
        *(Route(f"/{one.__name__}", _answer(one)) for one in (flood, latency, broadcast)),
    ],
    lifespan=_lifespan,
)
