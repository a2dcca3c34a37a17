"""The body of a request has to make progress."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from corepod.contract.scoreboard import IN_FLIGHT
from corepod.worker.application import wsgi
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, answer, get, read_all, until

STALLED = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\nhalf"
STALLED_CHUNKS = b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"
NOTHING = b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 100\r\n\r\n"
# Sent at once: a client that sends head and body one after the other may be late with the body.
WHOLE = b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 5\r\n\r\nwhole"


async def echo(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message.get("body", b"")
        if not message.get("more_body"):
            await answer(send, body)
            return
    raise RuntimeError("the client has gone")


def upload(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@pytest.mark.parametrize("request_", [STALLED, STALLED_CHUNKS, NOTHING])
@pytest.mark.parametrize("kind", ["asgi", "wsgi", "starlette"])
def test_a_body_that_stalls_is_a_408(request_: bytes, kind: str) -> None:
    async def read(request: Any) -> PlainTextResponse:
        return PlainTextResponse(await request.body())

    starlette = Starlette(routes=[Route("/", read, methods=["POST"])])
    app: Any = {"asgi": echo, "wsgi": wsgi.as_asgi(upload, 1), "starlette": starlette}[kind]
    with Served(app, body_timeout=0.2) as served:
        with served.connect() as sock:
            sock.sendall(request_)
            reply = read_all(sock).lower()
        assert reply.startswith(b"http/1.1 408")
        assert b"connection: close" in reply
        served.until_idle()
        assert served.raw(WHOLE).endswith(b"whole")


def test_a_large_body_that_stalls_gives_its_thread_back() -> None:
    with Served(wsgi.as_asgi(upload, 1), body_timeout=0.2) as served:
        with served.connect() as sock:
            sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 100_000)
            assert read_all(sock).startswith(b"HTTP/1.1 408")
        assert served.raw(WHOLE).endswith(b"whole")
        served.until_idle()


def test_a_body_that_comes_slowly_is_waited_for() -> None:
    """The limit is for a pause, not for the whole."""
    came = threading.Semaphore(0)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        async def noted() -> Any:
            came.release()  # it waits for the next piece
            return await receive()

        await echo(scope, noted, send)

    with Served(app, body_timeout=100.0, keep_alive=200.0) as served, served.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 6\r\n\r\n")
        for byte in b"slowly":
            assert came.acquire(timeout=DEADLINE)
            served.advance(40.0)
            sock.sendall(bytes([byte]))
        assert read_all(sock).endswith(b"slowly")


def test_a_conversation_may_pause() -> None:
    """Once the response has begun, the client may wait for the application before it goes on."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ready;", "more_body": True})
        await send({"type": "http.response.body", "body": (await receive())["body"]})

    pause = threading.Event()
    with Served(app, body_timeout=0.1) as served, served.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 2\r\n\r\n")
        assert b"ready;" in sock.recv(65536)
        assert not pause.wait(0.5)
        sock.sendall(b"go")
        assert b"go" in read_all(sock)


def test_waiting_for_a_client_to_leave_has_no_limit() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["more_body"] is False
        gone = asyncio.ensure_future(receive())
        await asyncio.wait([gone], timeout=0.4)
        assert not gone.done()
        gone.cancel()
        await answer(send)

    with Served(app, body_timeout=0.1) as served:
        assert get(served).text == "ok"
        with served.connect() as sock:
            assert Http2(sock).get("/")[0] == 200


def test_a_body_that_stalls_on_http2() -> None:
    with Served(echo, body_timeout=0.2) as served, served.connect() as sock:
        client = Http2(sock)
        stream = client.request("/", "POST", end=False)
        client.data(stream, b"half")
        client.read_until(stream)
        assert client.statuses[stream] == 408
        assert client.get("/")[0] == 200, "the connection lives"
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")


def test_a_timeout_of_the_applications_own_stays_its_own() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        try:
            async with asyncio.timeout(0.05):
                await receive()
        except TimeoutError:
            await answer(send, b"too slow for me", 400)

    with Served(app, body_timeout=DEADLINE) as served, served.connect() as sock:
        sock.sendall(STALLED)
        assert read_all(sock).endswith(b"too slow for me")
