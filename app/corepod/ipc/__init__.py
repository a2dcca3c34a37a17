"""Messages between the workers of a pool: to all of them, to one slot, and requests that are answered.

Outside of a pool the process is a pool of one worker, slot 0. The functions of this module belong to the worker's event
loop; threads, and so WSGI applications, use those of `corepod.ipc.sync`. docs/messages.md says what is guaranteed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.ipc import sync
from corepod.worker.ipc import place
from corepod.worker.ipc.errors import Full, NobodyListens, NoSuchSlot
from corepod.worker.ipc.message import Message, Sender

if TYPE_CHECKING:
    from corepod.worker.ipc.subscription import Subscription

__all__ = [
    "Full",
    "Message",
    "NoSuchSlot",
    "NobodyListens",
    "Sender",
    "broadcast",
    "joined",
    "request",
    "send",
    "subscribe",
    "sync",
]


def subscribe(topic: str) -> Subscription:
    """The messages on a topic, for `async for message in subscribe(topic)`: it begins with this call, and ends when it
    is closed, or when nothing refers to it any more.

    Raises RuntimeError without a running event loop; TypeError or ValueError where `topic` can't be one.
    """
    subscription: Subscription = place.hub().subscribe(topic)
    return subscription


async def joined() -> None:
    """Wait until this worker has its slot and gets messages: no broadcast that begins later passes it by.

    In the lifespan of a live standby, which has no slot yet, that would be for ever: wait in a task.
    """
    await place.hub().joined()


async def broadcast(topic: str, data: Any, timeout: float = 5.0) -> list[int]:  # noqa: ASYNC109 - a wish, as in queue.put
    """Send it to every worker that uses messages, this one included.

    Returns the slots of workers whose inbox had no room within `timeout` seconds; usually none. Raises TypeError or
    ValueError where `data` is neither bytes nor JSON or too long, OSError where descriptors have run out, and
    RuntimeError in a process without a slot.
    """
    missed: list[int] = await place.hub().broadcast(topic, data, timeout)
    return missed


async def send(slot: int, topic: str, data: Any, timeout: float = 5.0) -> None:  # noqa: ASYNC109 - a wish, as in queue.put
    """Send it to the worker of this slot, or to the next one where there is none at this moment.

    Raises Full where the slot's inbox had no room within `timeout` seconds, NoSuchSlot, and what `broadcast` raises.
    """
    await place.hub().send(slot, topic, data, timeout)


async def request(slot: int, topic: str, data: Any = None, timeout: float = 5.0) -> Any:  # noqa: ASYNC109 - a wish, as in queue.put
    """Send it to the worker of this slot, and return what it answers with `message.reply`.

    Raises TimeoutError after `timeout` seconds, NobodyListens where the worker has no subscription to the topic, and
    what `send` raises.
    """
    return await place.hub().request(slot, topic, data, timeout)
