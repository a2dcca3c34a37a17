"""Locks with a lease: taken, renewed in the background, and lost as loudly as possible."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from corepod.shared import state
from corepod.shared.errors import LockLost, Unavailable
from corepod.shared.lease import Lease
from corepod.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

    from corepod.shared.backend import Backend

FIRST_LOOK, LOOK_MOST = 0.01, 0.25  # seconds between two looks at a lock that another one holds


def now() -> float:
    """Seconds of a clock that no one sets, and that goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lock:
    """A lock that is held."""

    def __init__(self, name: str, owner: str, token: int, lease: Lease) -> None:
        self.name, self.owner, self.lease = name, owner, lease
        self.lost = False
        self._token = token

    @property
    def token(self) -> int:
        """The fencing token: send it along with each write to what the lock protects, which refuses smaller ones than
        the largest it has seen.

        Raises LockLost where the lease is over: this process may have stood still, and not know it yet.
        """
        if self.lost or self.lease.over(now()):
            raise LockLost(f"the lock {self.name!r} was lost: its lease of {self.lease.seconds:g} s is over")
        return self._token


class Claim:
    """What one owner asks for a lock until it has it, and its end where it stops waiting."""

    def __init__(self, backend: Backend, name: str, owner: str, lease: float) -> None:
        self._backend, self._name, self._owner, self._lease = backend, name, owner, lease
        self._question: asyncio.Future[int | None] | None = None

    async def ask(self) -> int | None:
        """As the backend's `acquire`. Whoever stops waiting doesn't break the question off: on its way to the server it
        could be overtaken by the release, and then make this owner the holder."""
        self._question = asyncio.ensure_future(self._backend.acquire(self._name, self._owner, self._lease))
        await asyncio.wait((self._question,))
        return self._question.result()

    async def renew(self) -> bool:
        """As the backend's."""
        return await self._backend.renew(self._name, self._owner, self._lease)

    async def give_back(self) -> None:
        """Whatever the last question has led to. Where the state can't be reached it ends with its lease."""
        if self._question is not None:
            await asyncio.gather(self._question, return_exceptions=True)
        with suppress(Unavailable):
            await self._backend.release(self._name, self._owner)


class Locking:
    """`async with` for a lock."""

    def __init__(self, key: str, lease: float, wait: float | None, *, patient: bool = False) -> None:
        self._key, self._seconds, self._wait, self._patient = key, lease, wait, patient
        self._owner = uuid4().hex
        self._lock: Lock | None = None
        self._backend: Backend
        self._body: asyncio.Task[object] | None = None
        self._cancelled_before = 0
        self._renewal: asyncio.Task[None] | None = None
        self._alarm: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Lock:
        if self._lock is not None:
            raise RuntimeError("this lock is held already: make another one")
        body = asyncio.current_task()
        if body is None:
            raise RuntimeError("a lock belongs to a task")
        self._backend = state.backend()
        claim = Claim(self._backend, self._key, self._owner, self._seconds)
        try:
            token, lease = await self._acquire(claim)
        except BaseException:
            # An answer that we haven't waited for may have made us the holder.
            _in_the_background(claim.give_back())
            raise
        self._body, self._cancelled_before = body, body.cancelling()
        self._lock = Lock(self._key, self._owner, token, lease)
        self._renewal = asyncio.create_task(self._renew(self._lock), name=f"corepod-lock-{self._key}")
        return self._lock

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._lock is not None
        assert self._renewal is not None
        self._renewal.cancel()
        lock, self._lock = self._lock, None
        if lock.lost:
            await self._ended_for_loss(kind, error)
            raise LockLost(f"the lock {self._key!r} was lost while it was held") from error
        try:
            kept = await asyncio.shield(asyncio.ensure_future(self._backend.release(self._key, self._owner)))
        except Unavailable as failure:
            log.warning("the lock %r couldn't be released, and ends with its lease: %s", self._key, failure)
            kept = not lock.lease.over(now())
        if not kept and kind is None:
            raise LockLost(f"the lock {self._key!r} was lost before its body was over")

    async def _ended_for_loss(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """Take our cancellation back; raises what others have: an error of the body, or their own cancellation."""
        assert self._body is not None
        if kind is None:
            try:
                await asyncio.sleep(0)  # the body hasn't waited since: the cancellation comes here
            except asyncio.CancelledError:
                kind = asyncio.CancelledError
        others = self._body.uncancel() > self._cancelled_before
        if kind is asyncio.CancelledError and others:
            raise error or asyncio.CancelledError
        if kind is not None and not issubclass(kind, asyncio.CancelledError) and error is not None:
            raise error

    # Taking

    async def _acquire(self, claim: Claim) -> tuple[int, Lease]:
        """Raises TimeoutError, and Unavailable where it isn't patient."""
        began, pause, told = now(), FIRST_LOOK, False
        while True:
            asked = now()
            try:
                token = await claim.ask()
            except Unavailable as error:
                if not self._patient:
                    raise
                if not told:  # once for each outage
                    log.warning("the lock %r is still waited for: %s", self._key, error)
                token, pause, told = None, LOOK_MOST * 4, True
            else:
                told = False
            if token is not None:
                return token, Lease(asked, self._seconds)
            left = float("inf") if self._wait is None else began + self._wait - now()
            if left <= 0:
                raise TimeoutError(f"the lock {self._key!r} wasn't free within {self._wait:g} s")
            await asyncio.sleep(min(left, pause * random.uniform(0.5, 1.0)))
            pause = min(pause * 2, LOOK_MOST)

    # Holding

    async def _renew(self, lock: Lock) -> None:
        failed = 0
        while not lock.lease.over(now()):
            await asyncio.sleep(lock.lease.next_renewal(now(), failed))
            asked = now()
            if lock.lease.over(asked):
                break
            try:
                async with asyncio.timeout(lock.lease.ends - asked):
                    kept = await self._backend.renew(self._key, self._owner, self._seconds)
            except (Unavailable, TimeoutError):
                failed += 1
                continue
            except Exception as error:  # as long as the lease isn't over, it may be renewed
                if not failed:
                    log.error("the lock %r can't be renewed", self._key, exc_info=error)
                failed += 1
                continue
            if not kept:
                break
            lock.lease, failed = Lease(asked, self._seconds), 0
        lock.lost = True
        if self._body is not None:
            self._body.cancel()


_releasing: set[asyncio.Task[None]] = set()


def _in_the_background(give_back: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(give_back)
    _releasing.add(task)
    task.add_done_callback(_releasing.discard)


async def given_back() -> None:
    """Return when nothing is being given back any more that this event loop has asked for."""
    loop = asyncio.get_running_loop()
    if mine := [task for task in _releasing.copy() if task.get_loop() is loop]:
        await asyncio.wait(mine)
