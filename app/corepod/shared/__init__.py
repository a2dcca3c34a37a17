"""State and messages that the workers of all pools and pods share, and locks that only one of them holds.

Values are bytes, or anything that JSON can express; keys, names and topics are text of 1 to 512 bytes. Each operation
returns within `shared_timeout` or raises Unavailable. The functions of this module belong to an event loop; threads,
and so WSGI applications, use those of `corepod.shared.sync`. docs/shared.md says what is guaranteed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.shared import arguments, state, sync, values
from corepod.shared.backend import Allowance, When
from corepod.shared.errors import LockLost, SharedError, Unavailable
from corepod.shared.lock import Lock, Locking, given_back
from corepod.shared.subscription import Message, Subscription

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

__all__ = [
    "Allowance",
    "Lock",
    "LockLost",
    "Message",
    "SharedError",
    "Subscription",
    "Unavailable",
    "When",
    "close",
    "compare_and_set",
    "delete",
    "get",
    "increment",
    "joined",
    "limit",
    "lock",
    "publish",
    "set",
    "singleton",
    "subscribe",
    "sync",
    "touch",
]


async def get(key: str) -> Any:
    """The value of a key, None where it has none or it has expired."""
    found = await state.backend().get(arguments.key(key))
    return None if found is None else values.decode(found)


async def set(key: str, value: Any, expires: float | None = None, when: When = When.ALWAYS) -> bool:  # noqa: A001
    """Give a key a value, which expires after so many seconds (None: never, also where the value before would have).

    Returns whether it was set, which depends on `when`. Raises TypeError or ValueError where an argument can't be one.
    """
    raw, seconds = values.encode(value), arguments.expiry(expires)
    return await state.backend().set(arguments.key(key), raw, seconds, when)


async def delete(key: str) -> bool:
    """Take a key's value away; whether there was one."""
    return await state.backend().delete(arguments.key(key))


async def touch(key: str, expires: float | None) -> bool:
    """Let a key's value expire after so many seconds from now, or never (None); whether there is one."""
    return await state.backend().touch(arguments.key(key), arguments.expiry(expires))


async def increment(key: str, by: int = 1, expires: float | None = None) -> int:
    """Add to a number, and return the sum. A key without a value counts as 0, and gets `expires` (seconds); later calls
    don't change when it expires.

    Raises TypeError where the value is no integer, and OverflowError where the sum has no place in 64 bits.
    """
    seconds = arguments.expiry(expires)
    return await state.backend().increment(arguments.key(key), arguments.step(by), seconds)


async def compare_and_set(key: str, expected: Any, value: Any, expires: float | None = None) -> bool:
    """Give a key a value if its value is `expected`; whether it was. None stands for no value: as `expected` the key
    must have none, as `value` it has none then.

    Values are compared as they are stored: the keys of a dict in another order make another value.
    """
    old, new = values.encode_or_none(expected), values.encode_or_none(value)
    return await state.backend().compare_and_set(arguments.key(key), old, new, arguments.expiry(expires))


def lock(name: str, lease: float = 10.0, wait: float | None = 5.0) -> AbstractAsyncContextManager[Lock]:
    """A lock that one holder has among all that share the state: `async with lock("name") as held`.

    It is waited for `wait` seconds at most, or for ever (None); TimeoutError is raised where that wasn't enough. It is
    held for `lease` seconds and renewed in the background after each third of that. Where it is lost, the body is
    cancelled and LockLost raised. `held.token` is the fencing token: larger than that of every holder before.
    """
    return Locking(arguments.key(name), arguments.lease(lease), arguments.wait(wait))


def singleton(name: str, lease: float = 10.0) -> AbstractAsyncContextManager[Lock]:
    """`async with singleton("name") as held`: wait until this worker is the one among all that share the state, through
    outages of the state, too. As `lock` otherwise."""
    return Locking(arguments.key(name), arguments.lease(lease), None, patient=True)


async def limit(key: str, limit: int, per: float) -> Allowance:
    """Count one attempt against `limit` attempts in `per` seconds. One that isn't allowed doesn't count.

    The attempts that are allowed come back one by one, each `per / limit` seconds (the generic cell rate algorithm,
    ITU-T I.371), so that there are no windows at whose edges twice as many would pass.
    """
    arguments.rate(limit, per)
    return await state.backend().allow(arguments.key(key), limit, float(per))


async def publish(topic: str, data: Any) -> None:
    """Send it to every subscription to this topic in all workers that share the state, at most once to each."""
    raw = values.encode(data, values.MESSAGE_MOST)
    await state.backend().publish(arguments.key(topic), raw)


def subscribe(topic: str) -> Subscription:
    """The messages on a topic, for `async for message in subscribe(topic)`: it begins with this call, and ends when it
    is closed, or when nothing refers to it any more."""
    return Subscription(state.backend(), topic, arguments.key(topic))


async def joined() -> None:
    """Wait until what is published from now on, by anybody, reaches the subscriptions made so far."""
    await state.backend().subscribed()


async def close() -> None:
    """Give back this event loop's connections; the next use makes new ones. A worker doesn't need it: its end does
    that. A program that makes several event loops, as tests do, calls it at the end of each."""
    await given_back()  # whose connections would otherwise be made after the others have been closed
    await state.close()
