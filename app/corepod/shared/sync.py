"""The functions of `corepod.shared` for threads: they wait, and raise the same. WSGI applications use these."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corepod.shared.backend import When
from corepod.worker.ipc import place, threads
from corepod.worker.ipc.threads import LoopThread, Messages

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager

    from corepod.shared.backend import Allowance
    from corepod.shared.lock import Lock
    from corepod.shared.subscription import Message


def get(key: str) -> Any:
    """As `corepod.shared.get`."""
    return _run(lambda: _shared().get(key))


def set(key: str, value: Any, expires: float | None = None, when: When = When.ALWAYS) -> bool:  # noqa: A001
    """As `corepod.shared.set`."""
    done: bool = _run(lambda: _shared().set(key, value, expires, when))
    return done


def delete(key: str) -> bool:
    """As `corepod.shared.delete`."""
    done: bool = _run(lambda: _shared().delete(key))
    return done


def touch(key: str, expires: float | None) -> bool:
    """As `corepod.shared.touch`."""
    done: bool = _run(lambda: _shared().touch(key, expires))
    return done


def increment(key: str, by: int = 1, expires: float | None = None) -> int:
    """As `corepod.shared.increment`."""
    number: int = _run(lambda: _shared().increment(key, by, expires))
    return number


def compare_and_set(key: str, expected: Any, value: Any, expires: float | None = None) -> bool:
    """As `corepod.shared.compare_and_set`."""
    done: bool = _run(lambda: _shared().compare_and_set(key, expected, value, expires))
    return done


def limit(key: str, limit: int, per: float) -> Allowance:
    """As `corepod.shared.limit`."""
    allowance: Allowance = _run(lambda: _shared().limit(key, limit, per))
    return allowance


def publish(topic: str, data: Any) -> None:
    """As `corepod.shared.publish`."""
    _run(lambda: _shared().publish(topic, data))


def joined() -> None:
    """As `corepod.shared.joined`."""
    _run(lambda: _shared().joined())


def lock(name: str, lease: float = 10.0, wait: float | None = 5.0) -> AbstractContextManager[Lock]:
    """As `corepod.shared.lock`, but a thread can't be cancelled: a loss raises LockLost at the end of the body, and
    from `held.token`, which the body asks before each write to what the lock protects."""
    return _holding(lambda: _shared().lock(name, lease, wait))


def singleton(name: str, lease: float = 10.0) -> AbstractContextManager[Lock]:
    """As `corepod.shared.singleton`, with what `lock` says of threads."""
    return _holding(lambda: _shared().singleton(name, lease))


def subscribe(topic: str) -> Messages[Message]:
    """As `corepod.shared.subscribe`, for `for message in subscribe(topic)`."""
    return Messages(lambda: _shared().subscribe(topic), _run)


@contextmanager
def _holding(make: Callable[[], AbstractAsyncContextManager[Lock]]) -> Iterator[Lock]:
    """A task of the loop holds the lock for the thread: one that is cancelled where it is lost."""
    from corepod.shared.keeper import Keeper

    keeper = Keeper(make)
    held: Lock = _run(keeper.take)
    try:
        yield held
    except BaseException:
        _run(keeper.end_quietly)
        raise
    _run(keeper.end)


def _shared() -> Any:
    from corepod import shared  # it imports this module

    return shared


_thread = LoopThread("corepod-shared")


def loop_for_threads() -> asyncio.AbstractEventLoop:
    return place.loop_for_threads() if place.is_pools() else _thread.loop()


def _run(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return threads.run(call, loop_for_threads, "corepod.shared")
