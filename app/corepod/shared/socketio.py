"""A client manager of python-socketio over shared state: what one worker emits reaches the clients of all workers.

    server = socketio.AsyncServer(async_mode="asgi", client_manager=corepod.shared.socketio.Manager())

The same line serves one machine and pods that share a Redis or Valkey (the setting `shared`). Sessions of clients stay
with the worker that they are connected to, to which `sticky` brings each of their requests.
"""

from __future__ import annotations

import asyncio
import logging
import os
import uuid
from typing import TYPE_CHECKING, Any

from socketio.async_pubsub_manager import AsyncPubSubManager

from corepod import shared

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger(__name__)
AGAIN = 1.0  # seconds until the subscription is tried again


class Manager(AsyncPubSubManager):  # type: ignore[misc]
    """For socketio.AsyncServer in ASGI mode. May be made while the application is imported.

    `channel` is the topic: servers that shall not hear each other need different ones. What is emitted while shared
    state is unavailable raises `corepod.shared.Unavailable`; what other workers emit meanwhile is lost.
    """

    name = "corepod"

    def __init__(self, channel: str = "socketio") -> None:
        super().__init__(channel)
        self._pid = 0

    @property
    def host_id(self) -> str:
        """Whose messages are this worker's own: a process that was forked from the one that made this has another."""
        if self._pid != os.getpid():
            self._pid, self._host_id = os.getpid(), uuid.uuid4().hex
        return self._host_id

    @host_id.setter
    def host_id(self, value: str) -> None:
        """The library makes one at import, which all workers would share."""

    async def _publish(self, data: dict[str, Any]) -> None:
        # By the server's own JSON module, which may know more types than that of shared state.
        await shared.publish(self.channel, self.json.dumps(data))

    async def _listen(self) -> AsyncIterator[str]:
        while True:
            try:
                with shared.subscribe(self.channel) as subscription:
                    async for message in subscription:
                        if message.lost:
                            log.warning("events of other workers may have been lost")
                        yield message.data
            except shared.Unavailable as error:
                log.warning("events of other workers don't come: %s", error)
            await asyncio.sleep(AGAIN)
