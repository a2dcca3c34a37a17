"""A message as the application gets it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class Sender(NamedTuple):
    """The worker that has sent a message."""

    slot: int
    worker: int  # its number, which no other worker of the pool ever has


class Message:
    """What has come for a subscription."""

    __slots__ = ("_reply", "data", "lost", "sender", "topic")

    def __init__(
        self, topic: str, data: Any, sender: Sender, lost: int, reply: Callable[[Any], Awaitable[bool]] | None
    ) -> None:
        self.topic = topic
        self.data = data
        self.sender = sender
        self.lost = lost  # messages that should have come before this one and never will
        self._reply = reply

    @property
    def wants_reply(self) -> bool:
        """Whether it has come by `request`."""
        return self._reply is not None

    async def reply(self, data: Any) -> bool:
        """Answer a request. False where the reply can't reach the sender: it is gone, or its inbox full.

        Raises RuntimeError where the message isn't a request, and TypeError or ValueError as `send` does.
        """
        if self._reply is None:
            raise RuntimeError(f"the message on {self.topic!r} asks for no reply: it has come by send or broadcast")
        return await self._reply(data)

    def __repr__(self) -> str:
        return f"Message({self.topic!r}, {self.data!r}, {self.sender}, lost={self.lost})"
