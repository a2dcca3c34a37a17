"""ok.py, with what workers share."""

from __future__ import annotations

import asyncio
import contextlib
import os

import ok
from corepod import shared

HEARD: list[object] = []
HELD: list[shared.Lock] = []
ERRORS: list[str] = []


async def listen():
    async for message in shared.subscribe("news"):
        HEARD.append(message.data)


async def lead():
    while True:  # a pause that is longer than the lease is a loss
        with contextlib.suppress(shared.LockLost):
            async with shared.singleton("one", lease=2.0) as held:
                HELD[:] = [held]
                await asyncio.sleep(1e6)


async def count(query, request):
    return [os.getpid(), await shared.increment("n")]


async def threaded(query, request):
    return [os.getpid(), await asyncio.to_thread(shared.sync.increment, "n")]


async def forked(query, request):
    """Counted by a child, with a connection of its own."""
    import multiprocessing

    child = multiprocessing.get_context("fork").Process(target=shared.sync.increment, args=("n",))
    child.start()
    await asyncio.to_thread(child.join)
    return [os.getpid(), child.exitcode]


async def joined(query, request):
    await shared.joined()
    return [os.getpid(), True]


async def tell(query, request):
    await shared.publish("news", os.getpid())
    return [os.getpid(), None]


async def heard(query, request):
    return [os.getpid(), HEARD]


async def held(query, request):
    try:
        return [os.getpid(), HELD[0].token if HELD else None]
    except shared.LockLost:
        return [os.getpid(), None]


async def errors(query, request):
    return [os.getpid(), ERRORS]


async def early():
    await shared.get("n")


# While the application is imported there is no worker yet.
for call in (lambda: asyncio.run(early()), lambda: shared.sync.get("n")):
    try:
        call()
    except RuntimeError as error:
        ERRORS.append(str(error))

ok.ROUTES.update(
    {f"/{route.__name__}": route for route in (count, threaded, forked, joined, tell, heard, held, errors)}
)


async def app(scope, receive, send):
    if scope["type"] != "lifespan":
        return await ok.app(scope, receive, send)
    await receive()
    await shared.increment("lifespans")
    try:
        await shared.publish("news", "from a lifespan")
    except RuntimeError as error:
        ERRORS.append(str(error))
    ok.KEPT.extend([asyncio.create_task(listen()), asyncio.create_task(lead())])
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
