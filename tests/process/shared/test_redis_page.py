"""The user of a Redis that docs/shared-redis.md shows may do what shared state needs, and nothing elsewhere."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from corepod import shared

from tests.redisserver import redis_server
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.redisserver import RedisServer

PAGE = (Path(__file__).parents[3] / "docs" / "shared-redis.md").read_text()
[ACL] = re.findall(r"`(ACL SETUSER (\w+) on >(\w+) [^`]*)`", PAGE)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as running:
        running.command(*ACL[0].split())
        yield running


def use(monkeypatch: pytest.MonkeyPatch, server: RedisServer, prefix: str) -> None:
    monkeypatch.setenv("COREPOD_SHARED", f"redis://{ACL[1]}:{ACL[2]}@127.0.0.1:{server.port}/0")
    monkeypatch.setenv("COREPOD_SHARED_TIMEOUT", f"{DEADLINE:g}")
    monkeypatch.setenv("COREPOD_SHARED_PREFIX", prefix)


def test_the_user_shown_may_do_all_that_shared_state_does(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, server, "shop:")

    async def main() -> None:
        await shared.set("key", {"a": 1}, expires=60)
        assert await shared.compare_and_set("key", {"a": 1}, 2)
        assert await shared.get("key") == 2
        assert await shared.touch("key", 30)
        assert await shared.delete("key")
        assert await shared.increment("n", expires=60) == 1
        assert (await shared.limit("n", 3, 60)).allowed
        async with shared.lock("report", lease=DEADLINE) as held:
            assert held.token > 0
        with shared.subscribe("news") as news:
            await shared.joined()
            await shared.publish("news", "hello")
            async with asyncio.timeout(DEADLINE):
                assert (await anext(news)).data == "hello"
        await shared.close()

    asyncio.run(main())
    with redis.Redis(port=server.port) as everything:
        assert all(key.startswith(b"shop:") for key in everything.scan_iter())


def test_and_nothing_outside_of_its_prefix(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Negative control: another application's prefix."""
    use(monkeypatch, server, "other:")

    async def main() -> None:
        with pytest.raises(shared.Unavailable, match="doesn't permit"):
            await shared.get("key")
        await shared.close()

    asyncio.run(main())
