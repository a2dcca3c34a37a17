"""The application's word on readiness: what `ready_path` answers, and `corepod.set_ready`."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import corepod
import pytest
from corepod.contract.messages import PACKET, Message, Readiness, decode
from corepod.worker.application import api
from corepod.worker.application.readiness import poll_ready_path
from corepod.worker.application.wsgi import as_asgi
from corepod.worker.control import Control
from corepod.worker.process import Identity
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route

from tests.unit.served import settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def ask(app: Any, path: str = "/ready", patience: float = 10.0, times: int = 1) -> list[str]:
    """What is reported of the application, this often."""
    reports: list[str] = []

    async def main() -> None:
        done = asyncio.Event()

        def report(why: str) -> None:
            reports.append(why)
            if len(reports) == times:
                done.set()

        task = asyncio.create_task(
            poll_ready_path(app, settings(ready_path=path, ready_interval=patience), {"key": "value"}, report)
        )
        await asyncio.wait_for(done.wait(), 20)
        task.cancel()

    asyncio.run(main())
    return reports


async def _ready(request: Any) -> PlainTextResponse:
    return PlainTextResponse("yes")


async def _moved(request: Any) -> RedirectResponse:
    return RedirectResponse("/elsewhere")


async def _not_yet(request: Any) -> PlainTextResponse:
    return PlainTextResponse("no", 503)


async def _broken(request: Any) -> PlainTextResponse:
    raise LookupError


async def _streams(request: Any) -> StreamingResponse:
    return StreamingResponse(iter(["ready", "!"]))


async def _hangs(request: Any) -> None:
    await asyncio.Event().wait()


class Passing(BaseHTTPMiddleware):
    async def dispatch(self, request: Any, call_next: Any) -> Any:
        return await call_next(request)


ROUTES = [
    Route("/ready", _ready),
    Route("/moved", _moved),
    Route("/not-yet", _not_yet),
    Route("/broken", _broken),
    Route("/streams", _streams),
    Route("/hangs", _hangs),
]


@pytest.mark.parametrize("middleware", [[], [Middleware(Passing)]])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/ready", ""),
        ("/ready?deep=1", ""),
        ("/moved", ""),
        ("/streams", ""),  # its framework waits for the end of the client, which must not come at once, nor be a loop
        ("/not-yet", "/not-yet answered 503"),
        ("/nowhere", "/nowhere answered 404"),
        ("/broken", "/broken raised LookupError"),
    ],
)
def test_ready_path(path: str, why: str, middleware: list[Middleware]) -> None:
    assert ask(Starlette(routes=ROUTES, middleware=middleware), path) == [why]


def test_ready_path_that_does_not_answer() -> None:
    assert ask(Starlette(routes=ROUTES), "/hangs", 0.05) == ["/hangs didn't answer within 0.05 s"]


def test_ready_path_that_says_nothing() -> None:
    async def silent(scope: Any, receive: Any, send: Any) -> None: ...

    assert ask(silent) == ["/ready answered nothing"]


def test_ready_path_is_asked_again_and_again() -> None:
    assert ask(Starlette(routes=ROUTES), "/ready", 0.01, times=3) == ["", "", ""]


def test_ready_path_of_a_wsgi_application() -> None:
    def wsgi(environ: Any, start_response: Any) -> list[bytes]:
        start_response("200 OK" if environ["PATH_INFO"] == "/ready" else "500 No", [])
        return [environ["wsgi.input"].read()]

    app = as_asgi(wsgi, 1)
    assert ask(app) == [""]
    assert ask(app, "/other") == ["/other answered 500"]


def test_ready_path_finds_the_state_and_who_asks() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    ask(app, "/ready?deep=1")
    assert (seen["path"], seen["query_string"], seen["state"]) == ("/ready", b"deep=1", {"key": "value"})
    assert (b"user-agent", b"corepod-readiness") in seen["headers"]


# set_ready


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Control, socket.socket]]:
    """The two ends of a control socket; the worker isn't one yet."""
    for name, value in (("_control", None), ("_identity", None), ("_reasons", {})):
        monkeypatch.setattr(api, name, value)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    control = Control(theirs.detach())
    ours.settimeout(20)
    yield control, ours
    control.close()
    ours.close()


def heard(sock: socket.socket) -> list[Message]:
    sock.setblocking(False)
    found: list[Message] = []
    try:
        while True:
            found.append(decode(sock.recv(PACKET)))
    except BlockingIOError:
        return found


def test_set_ready(supervisor: tuple[Control, socket.socket]) -> None:
    control, sock = supervisor
    assert corepod.this_worker() is None
    corepod.set_ready(False, "warming")  # at import, before there is a worker
    assert heard(sock) == []
    api.join_pool(Identity(0, 1, None, 0), control)
    assert heard(sock) == [Readiness(False, "warming")]
    me = corepod.this_worker()
    assert me is not None
    assert (me["slot"], me["worker"], me["core"]) == (0, 1, None)
    corepod.set_ready(False, "warming")  # no news
    corepod.set_ready(True)
    corepod.set_ready(True)
    corepod.set_ready(False)
    assert heard(sock) == [Readiness(True, ""), Readiness(False, "not ready")]


def test_two_voices(supervisor: tuple[Control, socket.socket]) -> None:
    control, sock = supervisor
    api.join_pool(Identity(0, 1, None, 0), control)
    api.report_ready_path("/ready answered 503")
    corepod.set_ready(False, "busy")
    api.report_ready_path("")
    corepod.set_ready(True)
    assert heard(sock) == [
        Readiness(False, "/ready answered 503"),
        Readiness(False, "/ready answered 503; busy"),
        Readiness(False, "busy"),
        Readiness(True, ""),
    ]


def test_set_ready_in_a_thread_while_the_loop_reports(supervisor: tuple[Control, socket.socket]) -> None:
    """Both may speak at once; the last word of each holds."""
    import threading

    control, sock = supervisor
    api.join_pool(Identity(0, 1, None, 0), control)
    threads = [
        threading.Thread(target=lambda say=say: [say(n) for n in range(50)])
        for say in (lambda n: api.set_ready(bool(n % 2)), lambda n: api.report_ready_path("" if n % 2 else "no"))
    ]
    collected: list[Any] = []
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        collected += heard(sock)
    collected += heard(sock)
    assert collected[-1] == Readiness(True, "")
