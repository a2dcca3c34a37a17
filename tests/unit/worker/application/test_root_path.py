"""`root_path` behind both kinds of proxies: those that remove the prefix and those that pass it on."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from corepod.worker.application.readiness import poll_ready_path
from corepod.worker.application.root_path import RootPath
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from websockets.sync.client import connect

from tests.unit.served import DEADLINE, Served, get, settings


def paths(root_path: str, path: str, raw_path: bytes, kind: str = "http") -> tuple[str, str, bytes]:
    """root_path, path and raw_path that the application sees."""
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.update(scope)

    scope = {"type": kind, "root_path": "", "path": path, "raw_path": raw_path}
    asyncio.run(RootPath(app, root_path)(scope, None, None))
    return seen["root_path"], seen["path"], seen["raw_path"]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("root_path", "path", "raw_path", "seen"),
    [
        ("/api", "/users", b"/users", ("/api", "/api/users", b"/api/users")),
        ("/api", "/api/users", b"/api/users", ("/api", "/api/users", b"/api/users")),
        ("/api", "/api", b"/api", ("/api", "/api", b"/api")),
        ("/api", "/", b"/", ("/api", "/api/", b"/api/")),
        ("/api/", "/users", b"/users", ("/api", "/api/users", b"/api/users")),
        ("/api", "/apiary", b"/apiary", ("/api", "/api/apiary", b"/api/apiary")),
        ("/a/b", "/c d", b"/c%20d", ("/a/b", "/a/b/c d", b"/a/b/c%20d")),
        ("/ä", "/x", b"/x", ("/ä", "/ä/x", b"/%C3%A4/x")),
        ("/%C3%A4", "/ä/x", b"/%C3%A4/x", ("/ä", "/ä/x", b"/%C3%A4/x")),
        ("/api", "*", b"*", ("/api", "*", b"*")),
    ],
    ids=str,
)
def test_the_path_begins_with_the_prefix(
    kind: str, root_path: str, path: str, raw_path: bytes, seen: tuple[str, str, bytes]
) -> None:
    assert paths(root_path, path, raw_path, kind) == seen


async def inner(request: Any) -> JSONResponse:
    return JSONResponse([str(request.url), str(request.url_for("m:inner"))])


async def greet(websocket: Any) -> None:
    await websocket.accept()
    await websocket.send_text(str(websocket.url.path))
    await websocket.close()


STARLETTE = Starlette(
    routes=[
        Mount("/m", routes=[Route("/inner", inner, name="inner"), Route("/slash/", inner)], name="m"),
        WebSocketRoute("/ws", greet),
    ]
)


@pytest.mark.parametrize("prefix", ["", "/api"], ids=["removed", "passed on"])
def test_mounts_redirects_and_websockets_of_a_framework(prefix: str) -> None:
    with Served(STARLETTE, root_path="/api") as served:
        url = served.url("/api/m/inner")
        assert get(served, f"{prefix}/m/inner").json() == [url, url]
        assert get(served, f"{prefix}/m/slash").headers["location"] == served.url("/api/m/slash/")
        with connect(served.url(f"{prefix}/ws").replace("http", "ws"), open_timeout=DEADLINE) as websocket:
            assert websocket.recv(DEADLINE) == "/api/ws"


def test_the_application_is_asked_for_ready_path_below_its_prefix() -> None:
    asked: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def main() -> None:
        reported = asyncio.Event()
        changed = settings(ready_path="/ready", root_path="/api")
        task = asyncio.create_task(poll_ready_path(app, changed, {}, lambda why: reported.set()))
        await asyncio.wait_for(reported.wait(), DEADLINE)
        task.cancel()

    asyncio.run(main())
    assert set(asked) == {"/api/ready"}  # how often is a matter of the interval
