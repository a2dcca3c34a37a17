"""What a worker owes its clients when it dies: requests whose response hasn't left completely, and no others. And each
request is counted and logged once, however it ends."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import ENTRIES, ENTRY_OFFSET, ENTRY_SIZE, IN_FLIGHT, OWED, STATUS
from corepod.worker.application.wsgi import as_asgi
from websockets.sync.client import connect

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

BODY = b"done"
ANNOUNCED = [(b"content-length", b"4")]
CHUNKED: list[tuple[bytes, bytes]] = []


class Lingering:
    """An application that goes on after its response until the test lets it go, as background tasks do."""

    def __init__(self, headers: list[tuple[bytes, bytes]], *, last: bool = True, body: bytes = BODY) -> None:
        self.headers, self.last, self.body = headers, last, body
        self.go = asyncio.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": not self.last})
        await self.go.wait()
        if not self.last:
            await send({"type": "http.response.body", "body": b""})

    def let_go(self, served: Served) -> None:
        served.loop.call_soon_threadsafe(self.go.set)


def entries(served: Served) -> int:
    """Requests that the report of a death would name."""
    starts = [served.record.starts[(ENTRY_OFFSET + n * ENTRY_SIZE) >> 3] for n in range(ENTRIES)]
    return sum(start > 0 for start in starts)


def nothing_owed(served: Served) -> bool:
    return not served.words[OWED] and not entries(served)


def ask(sock: socket.socket, method: str = "GET") -> None:
    sock.sendall(f"{method} / HTTP/1.1\r\nHost: test\r\n\r\n".encode())


@pytest.mark.parametrize(
    ("headers", "last", "method"),
    [(ANNOUNCED, True, "GET"), (ANNOUNCED, False, "GET"), (CHUNKED, True, "GET"), (ANNOUNCED, True, "HEAD")],
    ids=["announced", "announced, end not sent", "chunked", "HEAD"],
)
def test_a_response_that_has_left_is_not_owed(headers: list[tuple[bytes, bytes]], last: bool, method: str) -> None:
    app = Lingering(headers, last=last)
    with Served(app) as served, served.connect() as sock:
        ask(sock, method)
        got = b""
        while b"done" not in got and not (method == "HEAD" and got.endswith(b"\r\n\r\n")):
            got += sock.recv(65536)
        until(lambda: nothing_owed(served), "nothing owed")
        assert served.words[IN_FLIGHT] == 1, "a drain waits for it"
        app.let_go(served)
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")
        assert nothing_owed(served)


def test_a_body_without_its_end_is_owed() -> None:
    app = Lingering(CHUNKED, last=False)
    with Served(app) as served, served.connect() as sock:
        ask(sock)
        while b"done" not in sock.recv(65536):
            pass
        assert served.words[OWED] == entries(served) == 1
        app.let_go(served)
        until(lambda: nothing_owed(served), "nothing owed")


def test_what_a_slow_client_has_not_taken_is_owed() -> None:
    """Less than 64 KiB would be left to the loop, and the response would count as sent."""
    size = 60_000
    app = Lingering([(b"content-length", str(size).encode())], body=b"x" * size)
    with Served(app) as served, served.slow_reader(4096) as sock:
        ask(sock)
        taken = 0
        while taken < size:
            taken += len(sock.recv(512))
            assert served.words[OWED] or taken > size / 2, "the kernel never has more than a few thousand bytes of it"
        until(lambda: nothing_owed(served), "nothing owed")
        app.let_go(served)


def test_http2_a_response_that_has_left_is_not_owed() -> None:
    app = Lingering(CHUNKED)
    with Served(app) as served, served.connect() as sock:
        client = Http2(sock)
        stream = client.request("/")
        while stream not in client.ended:
            client._read()
        until(lambda: nothing_owed(served), "nothing owed")
        assert served.words[IN_FLIGHT] == 1
        app.let_go(served)


def test_a_wsgi_response_that_has_left_is_not_owed() -> None:
    """Its iterable is closed afterwards, which is where frameworks run what comes after a response."""
    go = threading.Event()

    class Chunks(list[bytes]):
        def close(self) -> None:
            go.wait(DEADLINE)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "4")])
        return Chunks([BODY])

    with Served(as_asgi(app, 1)) as served, served.connect() as sock:
        ask(sock)
        while b"done" not in sock.recv(65536):
            pass
        until(lambda: nothing_owed(served), "nothing owed")
        assert served.words[IN_FLIGHT] == 1
        go.set()
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")


def test_a_websocket_is_owed_until_it_is_closed() -> None:
    go = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        await send({"type": "websocket.close"})
        await go.wait()

    with Served(app) as served:
        with connect(f"ws://127.0.0.1:{served.port}/", open_timeout=DEADLINE) as client:
            assert served.words[OWED] == 1
            client.send("enough")
            until(lambda: nothing_owed(served), "nothing owed")
            assert served.words[IN_FLIGHT] == 1
        served.loop.call_soon_threadsafe(go.set)


# One cause, one count


async def slow(scope: Any, receive: Any, send: Any) -> None:
    """It answers although its client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
    await send({"type": "http.response.start", "status": 200, "headers": ANNOUNCED})
    await send({"type": "http.response.body", "body": BODY})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """It neither accepts nor refuses."""


def leave(served: Served) -> None:
    with served.connect() as sock:
        ask(sock)
        until(lambda: served.words[IN_FLIGHT], "it is in flight")


def leave_http2(served: Served) -> None:
    with served.connect() as sock:
        Http2(sock).request("/")
        until(lambda: served.words[IN_FLIGHT], "it is in flight")


def knock(served: Served) -> None:
    with served.connect() as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b" 500 " in read_all(sock)


@pytest.mark.parametrize(
    ("app", "client", "status"), [(slow, leave, 0), (slow, leave_http2, 0), (silent, knock, 5)], ids=["1", "2", "ws"]
)
def test_a_request_is_counted_and_logged_once(
    caplog: pytest.LogCaptureFixture, app: Any, client: Callable[[Served], None], status: int
) -> None:
    with caplog.at_level(logging.INFO, "corepod.access"), Served(app, access_log=True) as served:
        for _ in range(3):
            client(served)
            served.until_idle()
        assert list(served.words[STATUS : STATUS + 6]) == [3 if n == status else 0 for n in range(6)]
    # Not those of asyncio: they may be of what another test has left.
    logged = [record.name for record in caplog.records if record.name.startswith("corepod")]
    assert logged == ["corepod.access"] * 3
