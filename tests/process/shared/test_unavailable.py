"""A request that fails for want of shared state is answered with 503, in any framework; the others aren't concerned."""

from __future__ import annotations

import asyncio
import signal
from functools import partial
from typing import TYPE_CHECKING

import httpx
import pytest
from corepod.shared.redis.reporting import TEXTS
from websockets.exceptions import ConnectionClosedError, InvalidStatus
from websockets.sync.client import connect

from tests.process.harness import CLIENT
from tests.redisserver import RedisServer, redis_server
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

compat = pytest.mark.compat
PLAIN = "a service that this request needs can't be reached, please try again\n"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path / "redis") as running:
        yield running


def pool_with(start: Start, server: RedisServer, app: str, *flags: str) -> Pool:
    environment = {"COREPOD_SHARED": server.url}
    return start(app, "--workers", "1", "--shared-timeout", "0.5", *flags, env=environment).ready()


def _serves(pool: Pool, path: str) -> bool:
    return pool.get(path).status_code == 200


@pytest.mark.parametrize(
    ("app", "paths", "flags"),
    [
        ("needs_state:app", ("/state", "/chained"), ()),
        ("needs_state:app", ("/state", "/chained"), ("--http", "h11")),
        ("needs_state_wsgi:app", ("/state",), ("--interface", "wsgi")),
        ("needs_state_starlette:app", ("/state", "/thread"), ()),
        ("needs_state_flask:app", ("/state",), ()),
        pytest.param("needs_state_fastapi:app", ("/state", "/thread"), (), marks=compat("fastapi")),
        pytest.param("needs_state_django:asgi", ("/state", "/thread"), (), marks=compat("django")),
        pytest.param("needs_state_django:wsgi", ("/state", "/thread"), (), marks=compat("django")),
    ],
)
def test_frameworks(
    start: Start, server: RedisServer, app: str, paths: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    pool = pool_with(start, server, app, *flags, "--access-log")
    for path in paths:
        until(partial(_serves, pool, path), f"{path} answers")
    server.kill()
    for path in paths:
        response = pool.get(path)
        assert (response.status_code, response.text) == (503, PLAIN)
        assert response.headers["retry-after"] == "1"
        assert response.headers["content-length"] == str(len(PLAIN))
        head = CLIENT.head(f"http://127.0.0.1:{pool.port}{path}")
        assert head.status_code in (503, 405)  # FastAPI has no HEAD of its own
        assert head.content == b""
    assert (pool.get("/").status_code, pool.get("/handled").status_code) == (200, 200)
    assert "without state" in pool.get("/handled").text
    pool.until_log("503", len(paths))
    assert '" 500' not in pool.log
    server.start()
    for path in paths:
        until(partial(_serves, pool, path), f"{path} answers again: {pool.log}")
    assert pool.slot()["restarts"] == 0


def test_what_isn_t_an_outage_of_the_state_stays_what_it_is(start: Start, server: RedisServer) -> None:
    """A fault of the application after it has handled the outage is a 500 with its traceback; a response that has begun
    is cut off."""
    pool = pool_with(start, server, "needs_state:app")
    server.kill()
    assert pool.get("/fault").status_code == 500
    pool.until_log("ValueError: a fault of the application")
    with pytest.raises(httpx.RemoteProtocolError):
        pool.get("/begun")


def test_websockets(start: Start, server: RedisServer) -> None:
    pool = pool_with(start, server, "needs_state:app")
    with connect(f"ws://127.0.0.1:{pool.port}/", open_timeout=DEADLINE) as socket:
        server.kill()
        socket.send("count")
        with pytest.raises(ConnectionClosedError) as closed:
            socket.recv(DEADLINE)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
    with (
        pytest.raises(InvalidStatus) as refused,
        connect(f"ws://127.0.0.1:{pool.port}/early", open_timeout=DEADLINE),
    ):
        pass
    assert refused.value.response.status_code == 503


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_under_load(start: Start, server: RedisServer, fault: str) -> None:
    """Steady requests through an outage: those that don't need the state all succeed; those that do get 200 or 503, and
    end while it lasts; the server has few connections; afterwards all succeed, in the same workers."""
    pool = start(
        "needs_state:app", "--workers", "2", "--shared-timeout", "0.5", env={"COREPOD_SHARED": server.url}
    ).ready()
    pids = [slot["pid"] for slot in pool.status()["slots"]]
    base = f"http://127.0.0.1:{pool.port}"

    async def main() -> None:
        # None is kept: the pool closes one that a busy client has left idle for 5 s, perhaps as it is used again.
        limits = httpx.Limits(max_connections=40, max_keepalive_connections=0)
        async with httpx.AsyncClient(timeout=DEADLINE, limits=limits, trust_env=False) as client:

            async def wave() -> tuple[set[int], set[int]]:
                found = await asyncio.gather(*(client.get(base + path) for _ in range(40) for path in ("/", "/state")))
                return (
                    {one.status_code for one in found if one.url.path == "/"},
                    {one.status_code for one in found if one.url.path == "/state"},
                )

            while await wave() != ({200}, {200}):  # noqa: ASYNC110 - the server may be paused for longer than 0.5 s
                await asyncio.sleep(0.01)
            assert server.command("INFO", "clients")["connected_clients"] <= 2 * 11 + 1
            told = pool.log.count("fail with 503")
            if fault == "killed":
                server.kill()
            else:
                server.signal(signal.SIGSTOP)
            for _ in range(5):
                assert await wave() == ({200}, {503})
            assert pool.log.count("fail with 503") - told <= 2 * TEXTS
            if fault == "killed":
                server.start()
            else:
                server.signal(signal.SIGCONT)
            while (await client.get(base + "/state")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert server.command("INFO", "clients")["connected_clients"] <= 4 * 11 + 1
            # Each worker finds out by a request, and a whole wave may go to the other one.
            while await wave() != ({200}, {200}) or pool.log.count("is back after") < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(main(), 5 * DEADLINE))
    assert [slot["pid"] for slot in pool.status()["slots"]] == pids


def _why(pool: Pool, text: str) -> httpx.Response | None:
    """The answer that says so."""
    answer = pool.admin("/readyz")
    return answer if text in answer.text else None


@pytest.mark.parametrize("required", [True, False])
def test_readiness(start: Start, tmp_path: Path, required: bool) -> None:
    """With shared_required a worker isn't ready in an outage, says why, and is again afterwards; otherwise nothing
    changes. The application here has nothing to do with shared state."""
    flags = ("--shared-required",) if required else ()
    with redis_server(tmp_path / "redis", "requirepass secret") as server:
        environment = {"COREPOD_SHARED": server.url.replace("//", "//:secret@")}
        pool = start("ok:app", "--workers", "1", "--shared-timeout", "0.5", *flags, env=environment).ready()
        server.kill()
        if required:
            # Not only the first reason: a worker that was paused for a second is stuck then, and not ready either.
            why = f"the shared state redis://127.0.0.1:{server.port}/0 "
            answer = until(lambda: _why(pool, why), lambda: f"not ready:\n{pool.log}")
            assert answer is not None
            assert answer.status_code == 503
            assert "secret" not in answer.text + pool.admin("/status").text + pool.log
            assert pool.get("/pid").status_code == 200
            server.start()
            until(lambda: pool.admin("/readyz").status_code == 200, lambda: f"ready again:\n{pool.log}")
        else:
            assert pool.get("/pid").status_code == 200
            assert "shared state" not in pool.admin("/readyz").text
            until(lambda: pool.admin("/readyz").status_code == 200, lambda: f"ready:\n{pool.log}")
        assert pool.slot()["restarts"] == 0
