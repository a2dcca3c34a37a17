"""A time limit that isn't used up by a blocked event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")
LATE = 0.05  # seconds by which a timer is late when something has blocked the loop
GRACE = 0.1  # seconds in which the loop looks at what has arrived meanwhile


async def within(seconds: float, work: Awaitable[T]) -> T:
    """What the work returns. Raises TimeoutError after this many seconds.

    If the loop was blocked at that moment, the answer may be there, unread: without the grace, any code that blocks for
    `shared_timeout` would look like an outage.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds

    timer: asyncio.TimerHandle

    def expire(late_is_fine: bool) -> None:
        nonlocal timer
        if late_is_fine or loop.time() - due < LATE:
            limit.reschedule(loop.time())
        else:
            timer = loop.call_later(GRACE, expire, True)

    async with asyncio.timeout(None) as limit:
        timer = loop.call_at(due, expire, False)
        try:
            return await work
        finally:
            timer.cancel()
