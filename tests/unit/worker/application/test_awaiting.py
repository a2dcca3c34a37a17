"""The stack of what a task awaits, through everything that may be awaited."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.application.awaiting import where_it_waits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Generator


async def innermost() -> None:
    await asyncio.Event().wait()


@asynccontextmanager
async def manager() -> AsyncIterator[None]:
    await innermost()
    yield


async def iterator() -> AsyncIterator[None]:
    await innermost()
    yield


class Awaitable:
    def __await__(self) -> Generator[Any, None, None]:
        yield from innermost().__await__()


async def in_coroutine() -> None:
    await innermost()


async def in_context_manager() -> None:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(manager())


async def in_iteration() -> None:
    async for _ in iterator():
        pass


async def in_next() -> None:
    await anext(iterator(), None)


async def in_awaitable() -> None:
    await Awaitable()


async def in_timeout() -> None:
    async with asyncio.timeout(1000):
        await innermost()


WAYS = (in_coroutine, in_context_manager, in_iteration, in_awaitable, in_timeout)


def place(wait: Callable[[], Coroutine[Any, Any, None]]) -> str:
    async def main() -> str:
        task = asyncio.create_task(wait())
        for _ in range(3):
            await asyncio.sleep(0)
        found = where_it_waits(task)
        task.cancel()
        await asyncio.wait([task])
        assert where_it_waits(task) == ""
        return found

    return asyncio.run(main())


@pytest.mark.parametrize("wait", WAYS, ids=lambda wait: wait.__name__)
def test_the_innermost_frame_is_found(wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
    names = [line.rpartition(" in ")[2] for line in place(wait).splitlines() if line.startswith("  File")]
    assert names[0] == wait.__name__
    assert names[-2:] == ["innermost", "wait"]
    assert "    await asyncio.Event().wait()" in place(wait)


def test_what_can_not_be_looked_into_ends_it() -> None:
    """An iterator of C that waits for the next item with a default."""
    assert place(in_next).splitlines()[-2].endswith(" in in_next") or " in innermost" in place(in_next)
