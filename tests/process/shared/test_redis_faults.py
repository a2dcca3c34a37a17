"""Outages of a real Redis: each ends in time, is named, isn't piled up on, and is over without a restart."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import signal
from functools import partial
from typing import TYPE_CHECKING

import pytest
import redis
from corepod.shared.backend import When
from corepod.shared.errors import SharedError
from corepod.shared.redis import calls
from corepod.shared.redis.address import CONNECTIONS
from corepod.shared.redis.circuit import Circuit, Pass

from tests.process.shared.backends import TIMEOUT, backend, eventually, unavailable, until
from tests.redisserver import RedisServer, redis_server
from tests.slowproxy import slow_proxy
from tests.waiting import DEADLINE
from tests.waiting import until as wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from corepod.shared.redis.backend import RedisBackend

DB = "redis://127.0.0.1:{}/0"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as running:
        yield running


@pytest.fixture(autouse=True)
def warnings(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.WARNING, "corepod")
    return caplog


def test_killed_and_started_again(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with backend(server.url) as state:
            await state.set("key", b"1", None, When.ALWAYS)
            server.kill()
            for _ in range(20):
                said = await unavailable(state.get("key"))
                assert f"redis://127.0.0.1:{server.port}/0" in said
            server.start()
            assert await eventually(lambda: state.get("key")) is None
            assert await state.set("key", b"2", None, When.ALWAYS)

    asyncio.run(main())
    assert len([line for line in caplog.messages if "is back after" in line]) == 1
    assert "fail with 503" in caplog.messages[0]
    # Once for each text (reset, refused), not for each operation.
    assert len(caplog.messages) <= 4


def test_a_server_that_hangs(server: RedisServer) -> None:
    """It accepts connections and answers nothing: SIGSTOP. All that wait for it end while it hangs."""

    async def main() -> None:
        async with backend(server.url, 0.3) as state:
            await eventually(lambda: state.get("key"))
            server.signal(signal.SIGSTOP)
            try:
                said = await asyncio.gather(*(unavailable(state.get(f"key{number}")) for number in range(100)))
                assert any("hasn't answered within 0.3 s" in text for text in said)
            finally:
                server.signal(signal.SIGCONT)
            assert await eventually(lambda: state.increment("n", 1, None)) >= 1

    asyncio.run(main())


class Always(Circuit):
    """The negative control: no circuit."""

    def enter(self, now: float) -> Pass:
        return Pass.FREE

    @property
    def open(self) -> bool:
        return False


@pytest.mark.parametrize("circuit", [Circuit, Always])
def test_no_pile_up(server: RedisServer, circuit: type[Circuit], monkeypatch: pytest.MonkeyPatch) -> None:
    """In an outage few operations go out, the others fail at once; without the circuit each would go out and wait."""
    monkeypatch.setattr(calls, "Circuit", circuit)
    rounds = 60

    async def main() -> int:
        async with slow_proxy(server.port) as proxy, backend(DB.format(proxy.port), 0.05) as state:
            proxy.silent = True
            for _ in range(rounds):
                await unavailable(state.get("key"))
            if circuit is Always:  # the last ones may not have been accepted yet
                await until(lambda: proxy.connections >= rounds)
            return proxy.connections

    attempts = asyncio.run(main())
    assert attempts >= rounds if circuit is Always else attempts < rounds / 3


def test_what_is_slow_and_what_is_too_slow(server: RedisServer) -> None:
    async def main() -> None:
        async with slow_proxy(server.port) as proxy:
            proxy.delay = 0.05
            async with backend(DB.format(proxy.port)) as state:
                assert await state.increment("n", 1, None) == 1
            async with backend(DB.format(proxy.port), 1.0) as state:
                proxy.delay = 60.0
                assert "hasn't answered within 1 s" in await unavailable(state.get("n"))
                proxy.delay = 0.0
                assert await eventually(lambda: state.get("n")) == b"1"

    asyncio.run(main())


def test_an_answer_that_is_cut_off(server: RedisServer) -> None:
    """What may be carried out twice is repeated; what may not be isn't."""

    async def main() -> None:
        async with slow_proxy(server.port) as proxy, backend(DB.format(proxy.port)) as state:
            assert await state.increment("n", 1, None) == 1
            proxy.cuts = 1
            assert await state.get("n") == b"1"
            proxy.cuts = 1
            await unavailable(state.increment("n", 1, None))
            assert await eventually(lambda: state.get("n")) == b"2"  # it was carried out once

    asyncio.run(main())


def test_a_cancelled_operation_leaves_no_answer_for_the_next(server: RedisServer) -> None:
    async def main() -> None:
        async with (
            slow_proxy(server.port) as proxy,
            backend(DB.format(proxy.port) + "?max_connections=1", 20.0) as state,
        ):
            for number in range(10):
                await state.set(f"key{number}", b"%d" % number, None, When.ALWAYS)
            proxy.delay = 0.03
            for number in range(10):
                late = asyncio.ensure_future(state.get(f"key{number}"))
                await asyncio.sleep(0.003 * number)
                late.cancel()
                await asyncio.gather(late, return_exceptions=True)
                assert await state.get(f"key{9 - number}") == b"%d" % (9 - number)

    asyncio.run(main())


def test_full_memory(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """Writes are refused, reads go on, locks can be given up."""

    async def main() -> None:
        async with backend(server.url) as state:
            await state.set("key", b"1", None, When.ALWAYS)
            token = await state.acquire("lock", "me", 60.0)
            assert token
            server.command("CONFIG", "SET", "maxmemory-policy", "noeviction")
            server.command("CONFIG", "SET", "maxmemory", "1")
            for _ in range(3):
                for refused in (
                    state.set("other", b"1", None, When.ALWAYS),
                    state.increment("n", 1, 5.0),
                    state.compare_and_set("key", b"1", b"2", None),
                    state.acquire("another", "me", 60.0),
                    state.allow("limit", 5, 1.0),
                ):
                    assert "is out of memory (maxmemory)" in await unavailable(refused)
                assert await state.get("key") == b"1"
            assert await state.release("lock", "me")
            assert await state.delete("key")
            server.command("CONFIG", "SET", "maxmemory", "0")
            assert await state.set("other", b"1", None, When.ALWAYS)
            assert (await state.acquire("lock", "you", 60.0) or 0) > token

    asyncio.run(main())
    assert [("maxmemory" in line, "is back after" in line) for line in caplog.messages] == [
        (True, False),
        (False, True),
    ]


def test_wrong_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def main(port: int) -> None:
        async with backend(f"redis://:mistaken@127.0.0.1:{port}/0") as state:
            for _ in range(5):
                said = await unavailable(state.get("key"))
                assert "refuses the user or the password" in said
                assert "mistaken" not in said
        async with backend(DB.format(port)) as state:
            assert "wants a password" in await unavailable(state.get("key"))
        async with backend(f"redis://:right@127.0.0.1:{port}/0") as state:
            assert await state.get("key") is None

    with redis_server(tmp_path / "redis", "requirepass right") as server:
        asyncio.run(main(server.port))
    assert len(caplog.messages) == 2
    assert "mistaken" not in caplog.text


def test_what_the_user_may_not_do(server: RedisServer, caplog: pytest.LogCaptureFixture) -> None:
    """One operation that isn't permitted is no outage of the others."""
    server.command("ACL", "SETUSER", "reader", "on", ">secret", "~*", "+get", "+select")

    async def main() -> None:
        async with backend(f"redis://reader:secret@127.0.0.1:{server.port}/0") as state:
            for _ in range(3):
                assert "doesn't permit" in await unavailable(state.set("key", b"1", None, When.ALWAYS))
                assert await state.get("key") is None

    asyncio.run(main())
    assert len(caplog.messages) == 1


def test_no_room_for_another_connection(server: RedisServer) -> None:
    async def main() -> None:
        server.command("CONFIG", "SET", "maxclients", "1")
        async with asyncio.timeout(DEADLINE):
            writer = await _only_client(server.port)
        try:
            async with backend(server.url) as state:
                assert "maxclients" in await unavailable(state.get("key"))
                writer.close()
                await writer.wait_closed()
                assert await eventually(lambda: state.get("key")) is None
        finally:
            writer.close()

    asyncio.run(main())


async def _only_client(port: int) -> asyncio.StreamWriter:
    """The connection for which `maxclients 1` has room, as soon as the server knows that the last one is closed."""
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(ConnectionError):
            writer.write(b"PING\r\n")
            if await reader.readline() == b"+PONG\r\n":
                return writer
        writer.close()
        await asyncio.sleep(0.01)


def test_the_server_becomes_a_replica(server: RedisServer) -> None:
    async def main() -> None:
        async with backend(server.url) as state:
            await state.set("key", b"1", None, When.ALWAYS)
            server.command("REPLICAOF", "127.0.0.1", "1")
            assert "is a replica" in await unavailable(state.set("key", b"2", None, When.ALWAYS))
            assert "is a replica" in await unavailable(state.increment("n", 1, 5.0))  # a script
            assert await state.get("key") == b"1"
            server.command("REPLICAOF", "NO", "ONE")
            assert await state.set("key", b"2", None, When.ALWAYS)

    asyncio.run(main())


def test_connections_and_waiting_are_bounded(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "WAITING", 200)

    async def main() -> None:
        async with slow_proxy(server.port) as proxy, backend(DB.format(proxy.port), DEADLINE) as state:
            state.subscribe("topic", lambda data: None)
            await state.subscribed()
            proxy.delay = 0.1
            most = calls.WAITING + CONNECTIONS
            found = await asyncio.gather(*(state.get("key") for _ in range(most + 50)), return_exceptions=True)
            refused = [str(error) for error in found if isinstance(error, SharedError)]
            assert len(refused) >= 50
            assert all("waiting for it already" in text for text in refused)
            assert proxy.connections <= CONNECTIONS + 1

    asyncio.run(main())


def test_too_many_operations_are_no_outage(server: RedisServer) -> None:
    """Those that have spent their time waiting for others say nothing of the server, and the next ones go out."""

    async def main() -> None:
        async with (
            slow_proxy(server.port) as proxy,
            # One whose turn has come has half of this time for its answer, which is more than a pause of the server.
            backend(DB.format(proxy.port) + "?max_connections=1", TIMEOUT) as state,
        ):
            await state.get("key")
            proxy.delay = 0.1
            found = await asyncio.gather(*(state.get("key") for _ in range(200)), return_exceptions=True)
            said = [str(error) for error in found if isinstance(error, SharedError)]
            assert said
            assert all("before this one" in text for text in said)
            assert not state._calls._circuit.open
            assert await state.get("key") is None

    asyncio.run(main())


def test_scripts_are_made_known_again(server: RedisServer) -> None:
    async def main() -> None:
        async with backend(server.url) as state:
            assert await state.increment("n", 1, 60.0) == 1
            server.command("SCRIPT", "FLUSH")
            assert await state.increment("n", 1, 60.0) == 2

    asyncio.run(main())


def test_the_key_of_another_program(server: RedisServer) -> None:
    """An answer that no use of corepod leads to is neither an outage nor silent."""
    server.command("RPUSH", "list", "1")

    async def main() -> None:
        async with backend(server.url) as state:
            with pytest.raises(SharedError, match="WRONGTYPE"):
                await state.get("list")
            with pytest.raises(TypeError):
                await state.increment("list", 1, None)
            assert await state.get("key") is None

    asyncio.run(main())


def test_tokens_grow_past_a_server_that_has_lost_its_data(server: RedisServer) -> None:
    async def main() -> None:
        async with backend(server.url) as state:
            first = await state.acquire("lock", "me", 60.0)
            server.command("FLUSHALL")
            second = await state.acquire("lock", "you", 60.0)
            assert first is not None
            assert second is not None
            assert second > first

    asyncio.run(main())


@pytest.mark.parametrize("fault", ["restart", "cut", "silence"])
def test_messages_after_a_fault(server: RedisServer, fault: str) -> None:
    """A subscription hears again, and is told that something may be missing."""

    async def main() -> None:
        async with slow_proxy(server.port) as proxy, backend(DB.format(proxy.port), 1.0) as state:
            state._messages._ping = 0.2  # the application has no reason to set it
            heard: list[bytes | None] = []
            state.subscribe("topic", heard.append)
            await _until_heard(state, heard, b"first")
            heard[:] = [b"first"]  # a pause of the server is a fault, too
            if fault == "restart":
                server.kill()
                server.start()
            elif fault == "cut":
                server.command("CLIENT", "KILL", "TYPE", "pubsub")
            else:
                proxy.silent = True
                await until(lambda: not state._messages._heard)
                proxy.silent = False
            await until(lambda: None in heard)
            await _until_heard(state, heard, b"second")
            assert heard.index(None) < heard.index(b"second")

    asyncio.run(main())


async def _until_heard(state: RedisBackend, heard: list[bytes | None], data: bytes) -> None:
    async with asyncio.timeout(DEADLINE):
        while data not in heard:
            await eventually(state.subscribed)
            await eventually(lambda: state.publish("topic", data))
            await asyncio.sleep(0.02)


def test_subscriptions_that_send_nothing_keep_the_connection(server: RedisServer) -> None:
    """All to one topic, one after the other, on which nothing is published: the server is asked whether it's there."""

    async def main() -> None:
        def pings() -> int:
            return int(server.command("INFO", "commandstats").get("cmdstat_ping", {"calls": 0})["calls"])

        async def come_and_go() -> None:
            while True:
                state.subscribe("topic", lambda data: None)()
                await asyncio.sleep(0.01)

        async with backend(server.url) as state:
            state._messages._ping = 0.5
            state.subscribe("topic", lambda data: None)
            await state.subscribed()
            coming, before = asyncio.create_task(come_and_go()), pings()
            async with asyncio.timeout(DEADLINE):
                while await asyncio.to_thread(pings) == before:  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.05)
            coming.cancel()

    asyncio.run(main())


def _has(heard: list[bytes | None], count: int) -> bool:
    return len(heard) == count


def test_subscriptions_come_and_go(server: RedisServer) -> None:
    async def main() -> None:
        async with backend(server.url) as state:
            for round_ in range(20):
                heard: list[bytes | None] = []
                ends = [state.subscribe(f"topic{number % 2}", heard.append) for number in range(4)]
                await state.subscribed()
                await state.publish("topic0", b"%d" % round_)
                await until(partial(_has, heard, 2))
                for end in ends:
                    end()
            await state.publish("topic0", b"nobody")
            await until(lambda: server.command("PUBSUB", "NUMSUB", "topic0")[1] == 0)

    asyncio.run(main())


def test_a_subscription_in_an_outage_isn_t_confirmed(server: RedisServer) -> None:
    async def main() -> None:
        async with backend(server.url, 0.3) as state:
            server.kill()
            state.subscribe("topic", lambda data: None)
            await unavailable(state.subscribed())
            server.start()
            await eventually(state.subscribed)

    asyncio.run(main())


@pytest.mark.timeout(300)
def test_sentinels_name_the_new_master(tmp_path: Path) -> None:
    """A failover: the replica becomes the master, and what was stored is there."""

    async def main(url: str, first: RedisServer) -> None:
        async with backend(url, 3 * TIMEOUT) as state:
            await eventually(lambda: state.set("key", b"1", None, When.ALWAYS))
            assert first.command("WAIT", 1, 20_000) == 1
            first.kill()
            sentinel.command("SENTINEL", "SET", "main", "down-after-milliseconds", 500)
            await eventually(lambda: state.set("key", b"2", None, When.ALWAYS), 4 * DEADLINE)
            assert await eventually(lambda: state.get("key")) == b"2"
        gc.collect()  # a connection that hasn't been closed, to a Sentinel either, is a warning here

    with redis_server(tmp_path / "first", "repl-diskless-sync-delay 0") as first:
        replica = f"replicaof 127.0.0.1 {first.port}"
        with redis_server(tmp_path / "second", replica) as second:
            monitor = f"sentinel monitor main 127.0.0.1 {first.port} 1"
            # No failover before the first one is killed: it may be paused.
            times = ("sentinel down-after-milliseconds main 600000", "sentinel failover-timeout main 3000")
            with redis_server(tmp_path / "sentinel", monitor, *times, sentinel=True) as sentinel:
                with contextlib.suppress(redis.ResponseError):  # before Redis 7
                    # One that was paused for 2 s itself would do nothing for the next 30 s.
                    sentinel.command("SENTINEL", "DEBUG", "tilt-trigger", 600_000)

                def known() -> bool:
                    return bool(sentinel.command("SENTINEL", "REPLICAS", "main"))

                wait_for(lambda: known() and second.command("ROLE")[3] == "connected", "Sentinel knows the replica")
                asyncio.run(main(f"redis+sentinel://127.0.0.1:1,127.0.0.1:{sentinel.port}/main/0", first))
                assert second.command("ROLE")[0] == "master"
