"""Messages through `corepod.ipc`: to all workers of this pool, or outside of one to this process."""

from __future__ import annotations

import asyncio
import contextvars
from typing import TYPE_CHECKING

from corepod.shared.errors import Unavailable
from corepod.worker.ipc import place

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.ipc.subscription import Subscription

    Deliver = Callable[[bytes | None], None]

# One topic of corepod.ipc for all: its names are shorter, and no message of the application's own gets in between.
TOPIC = "\0corepod.shared"
STANDBY = (
    "this process is a standby without a slot, so it can't publish: wait for `shared.joined()` in a task, not in the "
    "lifespan"
)


class Messages:
    """Belongs to one event loop."""

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._by_topic: dict[str, dict[int, Deliver]] = {}
        self._last = 0
        self._subscription: Subscription | None = None
        self._pump: asyncio.Task[None] | None = None

    async def publish(self, topic: str, data: bytes) -> None:
        """Raises Unavailable, and RuntimeError in a process that has no place in a pool."""
        if place.lacks_slot():
            raise RuntimeError(STANDBY)
        name = topic.encode()
        try:
            async with asyncio.timeout(self._timeout * 2):
                await place.hub().broadcast(TOPIC, len(name).to_bytes(2) + name + data, self._timeout)
        except TimeoutError:
            raise Unavailable(f"the pool hasn't taken a message within {self._timeout:g} s (shared_timeout)") from None
        except OSError as error:
            raise Unavailable(f"the pool can't take a message: {error}") from error

    def subscribe(self, topic: str, deliver: Deliver) -> Callable[[], None]:
        if self._subscription is None:
            self._subscription = place.hub().subscribe(TOPIC)
            # Not in the context of the request that happens to be the first.
            self._pump = asyncio.get_running_loop().create_task(
                self._deliver(self._subscription), name="corepod-shared-messages", context=contextvars.Context()
            )
        self._last += 1
        number = self._last
        self._by_topic.setdefault(topic, {})[number] = deliver
        return lambda: self._remove(topic, number)

    async def subscribed(self) -> None:
        await place.hub().joined()

    def close(self) -> None:
        if self._subscription is not None:
            self._subscription.close()
            self._subscription = None

    def _remove(self, topic: str, number: int) -> None:
        found = self._by_topic.get(topic, {})
        found.pop(number, None)
        if not found:
            self._by_topic.pop(topic, None)

    async def _deliver(self, subscription: Subscription) -> None:
        async for message in subscription:
            if message.lost:
                for deliver in [one for topic in self._by_topic.values() for one in topic.values()]:
                    deliver(None)
            end = 2 + int.from_bytes(message.data[:2])
            for deliver in list(self._by_topic.get(message.data[2:end].decode(), {}).values()):
                deliver(message.data[end:])
