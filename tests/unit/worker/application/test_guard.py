"""What an application lets out of a request ends that request alone; and a request's body has to make progress."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from concurrent.futures import CancelledError as FutureCancelledError
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import IN_FLIGHT
from corepod.worker.application import wsgi
from corepod.worker.application.guard import LeakedError, guard
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, read_all, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LEAKS: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(1),
    "KeyboardInterrupt": KeyboardInterrupt,
    "CancelledError": asyncio.CancelledError,
    "GeneratorExit": GeneratorExit,
    "BaseExceptionGroup": lambda: BaseExceptionGroup("several", [SystemExit(1), ValueError("one")]),
    "BaseException": lambda: BaseException("of its own"),
}
PLACES = {"call": "app", "iteration": "__next__", "close": "close"}
FROM_A_THREAD = {**LEAKS, "StopIteration": StopIteration, "the CancelledError of futures": FutureCancelledError}


@pytest.fixture(autouse=True)
def _heard(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """The worker's logger speaks to pytest."""
    monkeypatch.setattr(logging.getLogger("corepod"), "propagate", True)
    caplog.set_level(logging.INFO, "corepod")


async def answer(send: Any, body: bytes = b"ok", status: int = 200) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def get(served: Served, path: str = "/") -> httpx.Response:
    return httpx.get(served.url(path), timeout=DEADLINE)


def one_fails_while_another_is_served(served: Served, arrived: threading.Event, go: Callable[[], Any]) -> None:
    """/slow waits until `go` is called, and /leak fails in the meantime."""
    with served.connect() as sock:
        sock.sendall(b"GET /slow HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert arrived.wait(DEADLINE)
        assert get(served, "/leak").status_code == 500
        go()
        assert read_all(sock).endswith(b"ok")
    assert get(served).text == "ok"
    served.until_idle()


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_out_of_an_asgi_application(leak: Callable[[], BaseException], caplog: pytest.LogCaptureFixture) -> None:
    arrived, go = threading.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"] == "/leak":
            raise leak()
        if scope["path"] == "/slow":
            arrived.set()
            await go.wait()
        await answer(send)

    with Served(app) as served:
        one_fails_while_another_is_served(served, arrived, lambda: served.loop.call_soon_threadsafe(go.set))
    assert type(leak()).__name__ in caplog.text


@pytest.mark.parametrize(
    ("name", "where"),
    # StopIteration out of an iteration is the end of the body.
    [(name, where) for name in FROM_A_THREAD for where in PLACES if (name, where) != ("StopIteration", "iteration")],
)
def test_out_of_a_wsgi_application(name: str, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """Also what a future can't hold, or takes for its own end."""
    leak = FROM_A_THREAD[name]
    arrived, go = threading.Event(), threading.Event()

    class Chunks:
        def __iter__(self) -> Iterator[bytes]:
            return self

        def __next__(self) -> bytes:
            if where == "iteration":
                raise leak()
            raise StopIteration

        def close(self) -> None:
            if where == "close":
                raise leak()

    def app(environ: dict[str, Any], start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "2")])
        if environ["PATH_INFO"] == "/leak":
            if where == "call":
                raise leak()
            return Chunks()
        if environ["PATH_INFO"] == "/slow":
            arrived.set()
            assert go.wait(DEADLINE)
        return [b"ok"]

    with Served(wsgi.as_asgi(app, 2)) as served:
        one_fails_while_another_is_served(served, arrived, go.set)
    assert f"let {type(leak()).__name__} out" in caplog.text
    assert f"in {PLACES[where]}" in caplog.text, "the traceback"


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_out_of_a_function_that_a_framework_runs_in_a_thread(leak: Callable[[], BaseException]) -> None:
    arrived, go = threading.Event(), threading.Event()

    def endpoint(request: Any) -> PlainTextResponse:
        if request.url.path == "/leak":
            raise leak()
        if request.url.path == "/slow":
            arrived.set()
            assert go.wait(DEADLINE)
        return PlainTextResponse("ok")

    with Served(Starlette(routes=[Route("/{path:path}", endpoint)])) as served:
        one_fails_while_another_is_served(served, arrived, go.set)


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
def test_out_of_a_background_task(leak: Callable[[], BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """The client has its answer; the line in the log is all that is left to do."""

    async def background() -> None:
        raise leak()

    async def endpoint(request: Any) -> PlainTextResponse:
        return PlainTextResponse("ok", background=BackgroundTask(background) if request.url.path == "/leak" else None)

    with Served(Starlette(routes=[Route("/{path:path}", endpoint)])) as served:
        assert get(served, "/leak").text == "ok"
        until(lambda: f"let {type(leak()).__name__} out" in caplog.text, "the line in the log")
        assert get(served).text == "ok"
        served.until_idle()


@pytest.mark.parametrize("leak", LEAKS.values(), ids=LEAKS)
@pytest.mark.parametrize("accepted", [True, False])
def test_out_of_a_websocket(leak: Callable[[], BaseException], accepted: bool) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await answer(send)
            return
        await receive()
        if scope["path"] == "/leak" and not accepted:
            raise leak()
        await send({"type": "websocket.accept"})
        if scope["path"] == "/leak":
            raise leak()
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})

    with Served(app) as served:
        url = f"ws://127.0.0.1:{served.port}"
        options: Any = {"open_timeout": DEADLINE, "close_timeout": DEADLINE}
        with connect(f"{url}/echo", **options) as other:
            with pytest.raises((ConnectionClosed, InvalidStatus)), connect(f"{url}/leak", **options) as failing:
                failing.recv(DEADLINE)
            other.send("still there?")
            assert other.recv(DEADLINE) == "still there?"
        served.until_idle()


def test_what_a_task_of_the_application_was_cancelled_for_is_no_end_of_the_request() -> None:
    """A cancelled task that is awaited raises the same CancelledError as one's own cancellation."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        task = asyncio.ensure_future(asyncio.sleep(DEADLINE))
        task.cancel()
        await task

    with Served(app) as served:
        assert get(served).status_code == 500


def test_a_cancellation_of_the_servers_own_passes() -> None:
    caught = list[BaseException]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        task = asyncio.create_task(guard(app)({"type": "http"}, None, None))
        await asyncio.sleep(0)
        task.cancel()
        try:
            await task
        except BaseException as error:
            caught.append(error)

    asyncio.run(main())
    assert [type(error) for error in caught] == [asyncio.CancelledError]
    with Served(app, request_timeout=0.1) as served:
        assert get(served).status_code == 504


def test_a_coroutine_that_is_closed_is_closed() -> None:
    """GeneratorExit is also how an abandoned coroutine learns of its end."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    async def main() -> Any:
        coroutine = guard(app)({"type": "http"}, None, None)
        asyncio.get_running_loop().call_soon(coroutine.send, None)
        await asyncio.sleep(0.01)
        return coroutine

    asyncio.run(main()).close()


def test_the_cause_is_kept() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        sys.exit("no database")

    with pytest.raises(LeakedError) as caught:
        asyncio.run(guard(app)({"type": "http"}, None, None))
    assert isinstance(caught.value.__cause__, SystemExit)


# Bodies

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
    pause = threading.Event()
    with Served(echo, body_timeout=1.5) as served, served.connect() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: test\r\nConnection: close\r\nContent-Length: 6\r\n\r\n")
        for byte in b"slowly":
            assert not pause.wait(0.3)
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
