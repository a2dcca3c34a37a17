"""What an application lets out of a request ends that request alone."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from concurrent.futures import CancelledError as FutureCancelledError
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.application import wsgi
from corepod.worker.application.guard import LeakedError, guard
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from tests.unit.served import DEADLINE, Served, answer, get, read_all, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.usefixtures("implementation")

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
