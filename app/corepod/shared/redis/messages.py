"""Publish and subscribe: one connection of the process, made again when it is lost."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from corepod.shared.errors import Unavailable
from corepod.shared.patience import within
from corepod.shared.redis.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio.connection import AbstractConnection

    from corepod.shared.redis.address import Renewing
    from corepod.shared.redis.reporting import Reporter

log = logging.getLogger("corepod")
PING = 5.0  # seconds of silence after which the server is asked whether it's there
FIRST, MOST = 0.1, 2.0  # seconds between two attempts to connect


class _Subscription:
    """What one caller wants to hear."""

    def __init__(self, deliver: Callable[[bytes | None], None]) -> None:
        self.deliver = deliver
        self.lost = False  # messages may have been sent while it couldn't hear them


class Messages:
    """The subscriptions of this process. Belongs to one event loop."""

    def __init__(self, pool: Renewing, name: str, timeout: float, reporter: Reporter, ping: float = PING) -> None:
        self._pool, self._name, self._timeout, self._reporter, self._ping = pool, name, timeout, reporter, ping
        self._subscriptions: dict[bytes, list[_Subscription]] = {}  # by channel: what should be
        self._sent: set[bytes] = set()  # what the server has been told on this connection
        self._pending: Counter[bytes] = Counter()  # SUBSCRIBEs that it hasn't confirmed
        self._heard: set[bytes] = set()  # confirmed: messages arrive
        self._stale = asyncio.Event()  # _subscriptions and _sent differ
        self._confirmed = asyncio.Event()  # set and replaced with each confirmation
        self._task: asyncio.Task[None] | None = None

    def subscribe(self, topic: str, deliver: Callable[[bytes | None], None]) -> Callable[[], None]:
        """See `Backend.subscribe`."""
        channel, subscription = topic.encode("utf-8", "surrogatepass"), _Subscription(deliver)
        self._subscriptions.setdefault(channel, []).append(subscription)
        self._stale.set()
        if self._task is None:
            # Not in the context of the request that happens to be the first.
            self._task = asyncio.get_running_loop().create_task(self._run(), context=contextvars.Context())

        def end() -> None:
            found = self._subscriptions.get(channel, [])
            if subscription in found:
                found.remove(subscription)
                if not found:
                    del self._subscriptions[channel]
                    self._stale.set()

        return end

    async def joined(self) -> None:
        """See `Backend.subscribed`."""
        try:
            await within(self._timeout, self._hears(set(self._subscriptions)))
        except TimeoutError:
            raise Unavailable(f"the shared state {self._name} hasn't confirmed the subscriptions in time") from None

    async def _hears(self, channels: set[bytes]) -> None:
        while not self._heard >= channels & self._subscriptions.keys():
            await self._confirmed.wait()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._subscriptions.clear()

    async def _run(self) -> None:
        pause = FIRST
        while True:
            try:
                await self._serve_connection()
            except Exception as error:
                if self._heard:
                    pause = FIRST
                self._forget()
                self._report(error)
            await asyncio.sleep(pause * (1 - random.random() / 2))
            pause = min(MOST, 2 * pause)

    def _report(self, error: Exception) -> None:
        found = fault(error, self._timeout) if isinstance(error, (RedisError, OSError)) else None
        if found is not None:
            self._reporter.trouble("messages", found.text, "no messages arrive until it's back")
        else:
            log.error("messages from the shared state %s", self._name, exc_info=error)

    def _forget(self) -> None:
        for channel in self._heard:
            for subscription in self._subscriptions.get(channel, ()):
                subscription.lost = True
        self._sent.clear()
        self._pending.clear()
        self._heard.clear()
        self._stale.set()

    async def _serve_connection(self) -> None:
        connection = await within(self._timeout, self._pool.get_connection())
        writer = asyncio.get_running_loop().create_task(self._write(connection))
        try:
            await self._read(connection)
        finally:
            await connection.disconnect(nowait=True)
            writer.cancel()
            await asyncio.gather(writer, return_exceptions=True)
            await self._pool.release(connection)

    async def _write(self, connection: AbstractConnection) -> None:
        """A connection that fails here is closed, which the reader sees."""
        loop = asyncio.get_running_loop()
        due = loop.time() + self._ping
        while True:
            self._stale.clear()
            if more := self._subscriptions.keys() - self._sent:
                self._sent |= more
                self._pending.update(more)
                await _send(connection, "SUBSCRIBE", *more)
            if less := self._sent - self._subscriptions.keys():
                self._sent -= less
                self._heard -= less
                await _send(connection, "UNSUBSCRIBE", *less)
            try:
                # Not from now on: subscriptions to what the server knows already send nothing, and may come often.
                async with asyncio.timeout_at(due):
                    await self._stale.wait()
            except TimeoutError:
                await _send(connection, "PING")
                due = loop.time() + self._ping

    async def _read(self, connection: AbstractConnection) -> None:
        while True:
            answer = connection.read_response(timeout=math.inf)
            self._take(await within(2 * self._ping + self._timeout, answer))

    def _take(self, reply: Any) -> None:
        if not isinstance(reply, list):
            return  # PONG, while there is no subscription
        kind, channel = reply[0], reply[1]
        if kind == b"message":
            for subscription in tuple(self._subscriptions.get(channel, ())):
                subscription.deliver(reply[2])
        elif kind == b"subscribe":
            self._pending[channel] -= 1
            if not self._pending[channel] and channel in self._sent:
                self._hear(channel)

    def _hear(self, channel: bytes) -> None:
        self._heard.add(channel)
        self._reporter.fine("messages")
        for subscription in tuple(self._subscriptions.get(channel, ())):
            if subscription.lost:
                subscription.lost = False
                subscription.deliver(None)
        self._confirmed.set()
        self._confirmed = asyncio.Event()


async def _send(connection: AbstractConnection, *words: str | bytes) -> None:
    if not connection.is_connected:
        raise ConnectionLost  # it would be made again, by the wrong one of the two that use it
    await connection.send_command(*words)
