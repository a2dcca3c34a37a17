"""The functions of `corepod.ipc` for threads: they wait, and raise the same. WSGI applications use these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.worker.ipc import place, threads
from corepod.worker.ipc.threads import Messages

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from corepod.worker.ipc.message import Message


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


def subscribe(topic: str) -> Messages[Message]:
    """As `corepod.ipc.subscribe`, for `for message in subscribe(topic)`."""
    return Messages(lambda: place.hub().subscribe(topic), _run)


def _run(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return threads.run(call, place.loop_for_threads, "corepod.ipc")
