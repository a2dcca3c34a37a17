"""`corepod.shared.backend.Backend` in a Redis or a Valkey.

A value is a string at its own key, so other programs can read it. A lock and a rate limit have a key with a suffix.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from redis.exceptions import NoScriptError, ResponseError

from corepod.shared.backend import Allowance, When
from corepod.shared.patience import within
from corepod.shared.redis import scripts
from corepod.shared.redis.address import parse
from corepod.shared.redis.calls import Calls, foreign
from corepod.shared.redis.messages import Messages
from corepod.shared.redis.reporting import Reporter
from corepod.shared.values import integer

if TYPE_CHECKING:
    from collections.abc import Callable

    from redis.asyncio import Redis

    from corepod.worker.application.shared_state import SharedSettings

LOCK, LIMIT = "#lock", "#limit"  # suffixes of keys
INT64 = range(-(1 << 63), 1 << 63)
MS_MOST = 1 << 52


class RedisBackend:
    """Belongs to one event loop. The methods are those of `Backend`."""

    def __init__(self, settings: SharedSettings) -> None:
        """Raises ValueError where the URL can't be used."""
        address = parse(settings.url, settings.timeout)
        self._name, self._timeout = address.name, settings.timeout
        self._pool = address.pool()
        reporter = Reporter(address.name)
        self._calls = Calls(address, self._pool, settings.timeout, reporter)
        self._messages = Messages(self._pool, address.name, settings.timeout, reporter)

    async def get(self, key: str) -> bytes | None:
        return await self._command("get", "GET", key, again=True)  # type: ignore[no-any-return]

    async def set(self, key: str, value: bytes, expires: float | None, when: When) -> bool:
        words: list[Any] = ["SET", key, value]
        if expires is not None:
            words += ["PX", _ms(expires)]
        if when is not When.ALWAYS:
            words.append("NX" if when is When.ABSENT else "XX")
        return bool(await self._command("set", *words, adds=True, again=when is When.ALWAYS))

    async def delete(self, key: str) -> bool:
        return bool(await self._command("delete", "UNLINK", key))

    async def touch(self, key: str, expires: float | None) -> bool:
        if expires is None:
            return bool(await self._script("touch", scripts.PERSIST, key, again=True))
        return bool(await self._command("touch", "PEXPIRE", key, _ms(expires), again=True))

    async def increment(self, key: str, by: int, expires: float | None) -> int:
        if by not in INT64:
            raise OverflowError(f"{key!r} can't be incremented by {by}: a number has 64 bits")
        try:
            if expires is None:
                return int(await self._command("increment", "INCRBY", key, by, adds=True))
            return int(await self._script("increment", scripts.INCREMENT, key, by, _ms(expires), adds=True))
        except ResponseError as error:
            said = str(error)
            if "not an integer" not in said and "would overflow" not in said and "WRONGTYPE" not in said:
                raise foreign(self._name, error) from error
            # For the server a number of more than 64 bits is none, either.
            if "WRONGTYPE" in said or not _is_integer(await self.get(key) or b"0"):
                raise TypeError(f"the value of {key!r} is no integer, and can't be incremented") from None
            raise OverflowError(f"{key!r} incremented by {by} would have more than 64 bits") from None

    async def compare_and_set(
        self, key: str, expected: bytes | None, value: bytes | None, expires: float | None
    ) -> bool:
        old = ("", "") if expected is None else ("1", expected)
        new = ("", "") if value is None else ("1", value)
        words = (*old, *new, "" if expires is None else _ms(expires))
        return bool(await self._script("compare_and_set", scripts.COMPARE_AND_SET, key, *words, adds=value is not None))

    async def acquire(self, name: str, owner: str, lease: float) -> int | None:
        words = (owner, _us(lease), scripts.RETENTION)
        token = await self._script("lock", scripts.ACQUIRE, name + LOCK, *words, adds=True, again=True)
        return None if token is None else int(token)

    async def renew(self, name: str, owner: str, lease: float) -> bool:
        words = (owner, _us(lease), scripts.RETENTION)
        return bool(await self._script("lock", scripts.RENEW, name + LOCK, *words, adds=True, again=True))

    async def release(self, name: str, owner: str) -> bool:
        # Without `adds`: a server that is out of memory must not keep locks.
        return bool(await self._script("release", scripts.RELEASE, name + LOCK, owner, scripts.RETENTION))

    async def allow(self, key: str, limit: int, per: float) -> Allowance:
        # Rounded up, and the window with it: never more than `limit` at once.
        interval = max(1, math.ceil(per * 1e6 / limit))
        left, wait = await self._script("limit", scripts.ALLOW, key + LIMIT, limit, interval, adds=True)
        return Allowance(left >= 0, max(0, left), wait / 1e6)

    async def publish(self, topic: str, data: bytes) -> None:
        await self._command("publish", "PUBLISH", topic, data)

    def subscribe(self, topic: str, deliver: Callable[[bytes | None], None]) -> Callable[[], None]:
        return self._messages.subscribe(topic, deliver)

    async def subscribed(self) -> None:
        await self._messages.joined()

    async def close(self) -> None:
        await self._messages.close()
        with suppress(Exception):  # a connection that can't be closed in good order is gone all the same
            await within(self._timeout, self._pool.aclose())

    async def _command(self, operation: str, *words: Any, adds: bool = False, again: bool = False) -> Any:
        async def work(client: Redis) -> Any:
            return await client.execute_command(*words)

        return await self._answer(operation, work, adds, again)

    async def _script(
        self, operation: str, script: scripts.Script, key: str, *words: Any, adds: bool = False, again: bool = False
    ) -> Any:
        async def work(client: Redis) -> Any:
            try:
                return await client.execute_command("EVALSHA", script.sha, 1, key, *words)
            except NoScriptError:  # this server hasn't seen it yet: EVAL makes it known
                return await client.execute_command("EVAL", script.text, 1, key, *words)

        return await self._answer(operation, work, adds, again)

    async def _answer(self, operation: str, work: Callable[[Redis], Any], adds: bool, again: bool) -> Any:
        try:
            return await self._calls.run(operation, work, adds=adds, again=again)
        except ResponseError as error:
            if operation == "increment":
                raise
            raise foreign(self._name, error) from error


def _is_integer(value: bytes) -> bool:
    try:
        integer(value)
    except TypeError:
        return False
    return True


def _ms(seconds: float) -> int:
    return min(MS_MOST, max(1, math.ceil(seconds * 1000)))


def _us(seconds: float) -> int:
    return min(MS_MOST, max(1, math.ceil(seconds * 1e6)))
