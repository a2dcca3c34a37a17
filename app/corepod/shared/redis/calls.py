"""One operation on the server: in time, or `Unavailable`; bounded in number, and behind the circuit."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, NoReturn, TypeVar

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as ConnectionLost
from redis.exceptions import RedisError

from corepod.shared.errors import SharedError, Unavailable
from corepod.shared.patience import within
from corepod.shared.redis.circuit import Circuit, Pass
from corepod.shared.redis.faults import Reach, fault

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from corepod.shared.redis.address import Address, Renewing
    from corepod.shared.redis.reporting import Reporter

T = TypeVar("T")
WAITING = 1000  # operations that may wait for a connection
FAIL = "requests that need it fail with 503 until it's back"


class _Out:
    """What is known of one operation when it has failed."""

    since: float | None = None  # when it had a connection, None where it never had one


class Calls:
    """The operations of this process. Belongs to one event loop."""

    def __init__(self, address: Address, pool: Renewing, timeout: float, reporter: Reporter) -> None:
        self._name, self._pool, self._timeout, self._reporter = address.name, pool, timeout, reporter
        self._client = Redis(connection_pool=pool)
        self._circuit = Circuit()
        self._free = asyncio.Semaphore(address.connections)
        self._waiting = 0
        self._last = ""  # what was wrong when the circuit opened

    async def run(
        self, operation: str, work: Callable[[Redis], Awaitable[T]], *, adds: bool = False, again: bool = False
    ) -> T:
        """What `work` returns, called with the client.

        `adds`: it needs a server that takes data. `again`: it may be carried out twice, so it is repeated once where
        the connection was lost. Raises Unavailable, and what the server answers as `redis.exceptions.ResponseError`.
        """
        passed = self._circuit.enter(asyncio.get_running_loop().time())
        if passed is Pass.REFUSED:
            self._refuse(self._last)
        out = _Out()
        try:
            result = await within(self._timeout, self._connected(work, passed, again, out))
        except (RedisError, OSError) as error:  # TimeoutError is one
            if type(error) is TimeoutError and self._was_late(out):
                self._circuit.abandoned(passed)
                self._overloaded("has too many operations of this process before this one")
            self._failed(error, operation, passed)
        except BaseException:
            self._circuit.abandoned(passed)
            raise
        self._answered()
        self._reporter.fine(operation)
        if not self._waiting:
            self._reporter.fine("load")
        if adds:
            self._reporter.fine("writes")
        return result

    async def _connected(self, work: Callable[[Redis], Awaitable[T]], passed: Pass, again: bool, out: _Out) -> T:
        if self._waiting >= WAITING:
            self._overloaded(f"has {WAITING} operations of this process waiting for it already")
        self._waiting += 1
        try:
            await self._free.acquire()
        finally:
            self._waiting -= 1
        try:
            if self._circuit.open and passed is Pass.FREE:
                self._refuse(self._last)  # it has waited while others found out
            out.since = asyncio.get_running_loop().time()
            try:
                return await work(self._client)
            except ConnectionLost as error:
                if not again or type(error) is not ConnectionLost:
                    raise
                self._pool.renew()
                return await work(self._client)
        finally:
            self._free.release()

    def _failed(self, error: Exception, operation: str, passed: Pass) -> NoReturn:
        found = fault(error, self._timeout)
        if found is None:  # an answer
            self._answered()
            raise error
        if found.reach is Reach.ALL:
            self._circuit.failed(asyncio.get_running_loop().time(), passed, random.random())
            self._last = found.text
            self._pool.renew()
            self._reporter.trouble("connection", found.text, FAIL)
        else:
            self._answered()
            writes = found.reach is Reach.WRITES
            if writes:
                self._pool.renew()  # a new connection may lead to the replica that has become the master
            self._reporter.trouble("writes" if writes else operation, found.text, FAIL)
        raise Unavailable(f"the shared state {self._name} {found.text}") from error

    def _answered(self) -> None:
        if self._circuit.open:
            self._circuit.succeeded()
        self._reporter.fine("connection")

    def _was_late(self, out: _Out) -> bool:
        """Whether it has spent its time waiting for others, and so says nothing of the server."""
        return out.since is None or asyncio.get_running_loop().time() - out.since < self._timeout / 2

    def _overloaded(self, why: str) -> NoReturn:
        self._reporter.trouble("load", why, "some requests that need it fail with 503")
        self._refuse(why)

    def _refuse(self, why: str) -> NoReturn:
        raise Unavailable(f"the shared state {self._name} {why}")


def foreign(name: str, error: RedisError) -> SharedError:
    """What the application gets for an answer that no use of this backend leads to."""
    return SharedError(f"the shared state {name} answers: {error}")
