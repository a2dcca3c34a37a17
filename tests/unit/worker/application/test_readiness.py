"""Polling `ready_path`: every kind of answer, and what is reported of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from corepod.worker.application.readiness import poll_ready_path
from corepod.worker.application.wsgi import as_asgi
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, RedirectResponse, StreamingResponse
from starlette.routing import Route

from tests.unit.served import settings


def ask(app: Any, path: str = "/ready", patience: float = 10.0, times: int = 1) -> list[str]:
    """What is reported of the application, this often."""
    reports: list[str] = []

    async def main() -> None:
        done = asyncio.Event()

        def report(why: str) -> None:
            # Paused here, the loop finds that the interval is over, and asks once more before the test goes on.
            if len(reports) < times:
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
