"""A task that holds a lock for a thread."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from corepod.shared.errors import LockLost

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from corepod.shared.lock import Lock


class Keeper:
    """Its methods are called in the event loop."""

    def __init__(self, make: Callable[[], AbstractAsyncContextManager[Lock]]) -> None:
        self._make = make

    async def take(self) -> Lock:
        """Raises what the lock raises."""
        self._over = asyncio.Event()
        taken: asyncio.Future[Lock] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._hold(taken))
        try:
            await asyncio.wait((taken, self._task), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        if not taken.done():
            await self._task
        return await taken

    async def _hold(self, taken: asyncio.Future[Lock]) -> None:
        async with self._make() as lock:
            taken.set_result(lock)
            await self._over.wait()

    async def end(self) -> None:
        """Raises LockLost where it was lost."""
        self._over.set()
        await self._task

    async def end_quietly(self) -> None:
        """The body has an error of its own."""
        try:
            await self.end()
        except LockLost:
            pass
