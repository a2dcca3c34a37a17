"""The body of a request has to make progress, which hypercorn doesn't look after."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.application.middleware import answer

if TYPE_CHECKING:
    from collections.abc import Callable


def expects_body(scope: Any) -> bool:
    """Whether more of the request than its head may be on its way."""
    if scope["type"] != "http":
        return False
    for name, value in scope["headers"]:
        if name == b"content-length":
            return bool(value.strip(b"0"))
        if name == b"transfer-encoding":
            return True
    return scope["http_version"] not in ("1.0", "1.1")  # a later one needs neither of the two


class TimedBody:
    """A request's body that is answered with 408 when nothing of it arrives for some seconds.

    When the response has begun, there is no limit: client and application may be in a conversation.
    """

    def __init__(self, seconds: float, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        self._seconds, self._receive, self._send = seconds, receive, send
        self._begun = self._complete = self.refused = False

    async def receive(self) -> Any:
        if self.refused:
            return {"type": "http.disconnect"}
        if self._complete or self._begun:
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds) as limit:
                message = await self._receive()
        except TimeoutError:
            if not limit.expired():
                raise
            if self._begun:  # by another task, while this one waited
                return await self._receive()
            return await self._refuse()
        self._complete = not message.get("more_body")
        return message

    async def _refuse(self) -> Any:
        self.refused = True
        text = f"no more of the request's body has arrived for {self._seconds:g} s\n"
        await answer(self._send, 408, text.encode(), (b"connection", b"close"))
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if not self.refused:
            self._begun = True
            await self._send(message)
