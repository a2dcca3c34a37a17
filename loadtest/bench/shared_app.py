"""Uses shared state through corepod.shared, corepod.ipc or redis-py alone, and says how long that took."""

from __future__ import annotations

import asyncio
import json
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from corepod import ipc, shared
from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

ENV_REDIS = "BENCH_REDIS"  # URL of the server; without it there is no redis-py
TOPIC, DONE = "bench", "bench done"
PAUSE = 0.002  # seconds between two broadcasts: their delay counts, not how many can be sent
DATA = {"user": 4711, "text": "hello to everybody who listens", "tags": ["a", "b"]}
LONGEST = 60.0  # seconds for everything to arrive


class Shared:
    """corepod.shared, with the backend that the pool's settings name."""

    async def get(self, key: str) -> None:
        await shared.get(key)

    async def set(self, key: str) -> None:
        await shared.set(key, DATA, 600.0)

    async def increment(self, key: str) -> None:
        await shared.increment(f"{key} counter")

    async def publish(self, topic: str, data: Any) -> None:
        await shared.publish(topic, data)

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async for message in shared.subscribe(topic):
            yield message.data


class Ipc:
    """corepod.ipc: messages only, and only within the pool."""

    async def publish(self, topic: str, data: Any) -> None:
        await ipc.broadcast(topic, data, LONGEST)

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async for message in ipc.subscribe(topic):
            yield message.data


class Alone:
    """redis-py alone, with the commands that an application would write."""

    def __init__(self) -> None:
        from redis import asyncio as redis

        self._client = redis.Redis.from_url(os.environ[ENV_REDIS])

    async def get(self, key: str) -> None:
        found = await self._client.get(f"alone:{key}")
        json.loads(found or "null")

    async def set(self, key: str) -> None:
        await self._client.set(f"alone:{key}", json.dumps(DATA), ex=600)

    async def increment(self, key: str) -> None:
        await self._client.incr(f"alone:{key} counter")

    async def publish(self, topic: str, data: Any) -> None:
        await self._client.publish(f"alone:{topic}", json.dumps(data))

    async def subscribe(self, topic: str) -> AsyncIterator[Any]:
        async with self._client.pubsub() as channel:
            await channel.subscribe(f"alone:{topic}")
            async for message in channel.listen():
                if message["type"] == "message":
                    yield json.loads(message["data"])


_ways: dict[str, Any] = {}


async def _listen(way: Any) -> None:
    """Note how long each message took to come here; tell at the last one."""
    delays: list[float] = []
    async for message in way.subscribe(TOPIC):
        now = time.monotonic()  # the same clock in all processes of this machine
        if message["kind"] == "measured":
            delays.append(now - message["sent"])
        elif message["kind"] == "last":
            await way.publish(DONE, {"pid": os.getpid(), "delays": delays, "run": message["run"]})
            delays = []


@asynccontextmanager
async def _lifespan(app: Starlette) -> AsyncIterator[None]:
    _ways.update(shared=Shared(), ipc=Ipc())
    if ENV_REDIS in os.environ:
        _ways["alone"] = Alone()
    tasks = [asyncio.create_task(_listen(way)) for way in _ways.values()]
    yield
    for task in tasks:
        task.cancel()


async def operations(way: Any, count: int, workers: int) -> dict[str, object]:
    """Seconds of each of so many calls, one after the other, in turns."""
    found: dict[str, list[float]] = {"set": [], "get": [], "increment": []}
    for number in range(count):
        for name, seconds in found.items():
            started = time.perf_counter()
            await getattr(way, name)(f"key {number % 100}")
            seconds.append(time.perf_counter() - started)
    return dict(found)


async def broadcast(way: Any, count: int, workers: int) -> dict[str, object]:
    """Seconds from each broadcast to each of all workers, this one included, and how many never came."""
    answers: list[dict[str, Any]] = []
    collecting = asyncio.create_task(_collect(way, answers))
    run = time.monotonic()
    try:
        async with asyncio.timeout(LONGEST):
            while len(_of(answers, -run)) < workers:  # until all of them hear, and are heard
                await way.publish(TOPIC, {"kind": "last", "run": -run})
                await asyncio.sleep(0.05)
            for _ in range(count):
                await way.publish(TOPIC, {"kind": "measured", "sent": time.monotonic(), **DATA})
                await asyncio.sleep(PAUSE)
            await way.publish(TOPIC, {"kind": "last", "run": run})
            while len(_of(answers, run)) < workers:  # noqa: ASYNC110 - an event would be set in the way measured
                await asyncio.sleep(0.01)
    finally:
        collecting.cancel()
    delays = [delay for found in _of(answers, run).values() for delay in found]
    return {"latencies": delays, "lost": workers * count - len(delays)}


async def _collect(way: Any, answers: list[dict[str, Any]]) -> None:
    async for message in way.subscribe(DONE):
        answers.append(message)


def _of(answers: list[dict[str, Any]], run: float) -> dict[int, list[float]]:
    """What each worker has measured in this run."""
    return {answer["pid"]: answer["delays"] for answer in answers if answer["run"] == run}


async def block(request: Request) -> Response:
    """Who answers: the bench asks until each worker has, which blocks a while so that the others have a chance."""
    time.sleep(0.01)  # noqa: ASYNC251 - as said
    return PlainTextResponse(str(os.getpid()))


def _answer(
    measure: Callable[[Any, int, int], Awaitable[dict[str, object]]],
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        query = request.query_params
        return JSONResponse(await measure(_ways[query["way"]], int(query["count"]), int(query["workers"])))

    return endpoint


app = Starlette(
    routes=[
        Route("/", block),
        Route("/block", block),
        Route("/operations", _answer(operations)),
        Route("/broadcast", _answer(broadcast)),
    ],
    lifespan=_lifespan,
)
