"""A backend on a real Redis, in the test's own process."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.shared.errors import Unavailable
from corepod.shared.redis import connect
from corepod.worker.application.shared_state import SharedSettings

from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from corepod.shared.redis.backend import RedisBackend

TIMEOUT = 10.0  # shared_timeout, seconds: a busy machine may pause the server


@contextlib.asynccontextmanager
async def backend(url: str, patience: float = TIMEOUT) -> AsyncIterator[RedisBackend]:
    made: Any = connect(SharedSettings(url, "", patience, False, ""))
    try:
        yield made
    finally:
        await made.close()


async def eventually(what: Callable[[], Awaitable[Any]], deadline: float = DEADLINE) -> Any:
    """Try until it is available, and return what it returns."""
    end = time.monotonic() + deadline
    while True:
        try:
            return await what()
        except Unavailable:
            if time.monotonic() > end:
                raise
            await asyncio.sleep(0.01)


async def until(condition: Callable[[], Any], deadline: float = DEADLINE) -> None:
    """As `tests.waiting.until`, in a loop that goes on."""
    end = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < end, "the condition isn't met in time"
        await asyncio.sleep(0.01)


async def unavailable(what: Awaitable[Any]) -> str:
    """What the Unavailable says that this raises. It has to end, however hindered."""
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(Unavailable) as error:
            await what
    return str(error.value)
