"""The functions of `corepod.ipc` for threads: they wait, and raise the same. WSGI applications use these."""

from __future__ import annotations

from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from corepod.worker.ipc import place, threads
from corepod.worker.ipc.threads import LoopEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import TracebackType

    from corepod.worker.ipc.message import Message
    from corepod.worker.ipc.subscription import Subscription


def broadcast(topic: str, data: Any, timeout: float = 5.0) -> list[int]:
    """As `corepod.ipc.broadcast`."""
    missed: list[int] = _run(lambda: place.hub().broadcast(topic, data, timeout))
    return missed


def send(slot: int, topic: str, data: Any, timeout: float = 5.0) -> None:
    """As `corepod.ipc.send`."""
    _run(lambda: place.hub().send(slot, topic, data, timeout))


def request(slot: int, topic: str, data: Any = None, timeout: float = 5.0) -> Any:
    """As `corepod.ipc.request`."""
    return _run(lambda: place.hub().request(slot, topic, data, timeout))


def reply(message: Message, data: Any) -> bool:
    """As `message.reply`."""
    answered: bool = _run(lambda: message.reply(data))
    return answered


def joined() -> None:
    """As `corepod.ipc.joined`."""
    _run(lambda: place.hub().joined())


def subscribe(topic: str) -> Messages:
    """As `corepod.ipc.subscribe`, for `for message in subscribe(topic)`."""
    return Messages(topic)


class Messages:
    """The messages on a topic. Waiting for one blocks the thread."""

    def __init__(self, topic: str) -> None:
        self._subscription: Subscription = _run(lambda: _subscribe(topic))

    def close(self) -> None:
        """No more messages; a thread that waits for one gets the end."""
        _run(self._close)

    async def _close(self) -> None:
        self._subscription.close()

    def __enter__(self) -> Messages:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Iterator[Message]:
        while True:
            try:
                message = _run(self._next)
            except (CancelledError, LoopEndedError):
                return  # with the worker
            if message is None:
                return
            yield message

    async def _next(self) -> Message | None:
        return await anext(self._subscription, None)


async def _subscribe(topic: str) -> Subscription:
    subscription: Subscription = place.hub().subscribe(topic)
    return subscription


def _run(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return threads.run(call, place.loop_for_threads, "corepod.ipc")
