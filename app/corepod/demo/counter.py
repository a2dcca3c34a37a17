"""A number that is the same in all workers, without a database: each tells the others what it has counted itself.

What each worker has counted only grows, so it doesn't matter in which order, or how often, the others hear of it.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import count
from typing import TYPE_CHECKING

import corepod
from corepod import ipc
from corepod.demo.answer import Json
from corepod.demo.who import who

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

TOPIC, ALL = "counter", "counter/all"
_counted: dict[str, int] = {}  # by the number of the worker that has counted it; those that are gone stay


async def counter(request: Request) -> Response:
    """POST adds one."""
    if request.method == "POST":
        me = corepod.this_worker()
        mine = str(me.worker if me else 0)
        _counted[mine] = _counted.get(mine, 0) + 1
        await ipc.broadcast(TOPIC, {mine: _counted[mine]})
    return Json({"count": sum(_counted.values()), **who()})


@asynccontextmanager
async def following(app: Starlette) -> AsyncIterator[None]:
    """Hear what the others count."""
    tasks = [
        asyncio.create_task(_follow(ipc.subscribe(TOPIC))),
        asyncio.create_task(_answer(ipc.subscribe(ALL))),
        asyncio.create_task(_catch_up()),
    ]
    yield
    for task in tasks:
        task.cancel()


async def _follow(messages: AsyncIterator[ipc.Message]) -> None:
    async for message in messages:
        _merge(message.data)


async def _answer(messages: AsyncIterator[ipc.Message]) -> None:
    async for message in messages:
        await message.reply(_counted)


async def _catch_up() -> None:
    """Ask the others for what they had counted before this worker heard of it."""
    await ipc.joined()
    for slot in count():
        try:
            _merge(await ipc.request(slot, ALL))
        except ipc.NoSuchSlot:
            return
        except (ipc.Full, ipc.NobodyListens, TimeoutError):
            pass  # it has no worker now, or a busy one: what it has counted comes with its next word


def _merge(counted: dict[str, int]) -> None:
    for worker, number in counted.items():
        _counted[worker] = max(number, _counted.get(worker, 0))
