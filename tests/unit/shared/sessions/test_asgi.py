"""The middleware around real applications of Starlette, and what it does for requests and WebSockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod import shared
from corepod.shared.sessions import KeysError, NotJSON, NotLoaded, SessionMiddleware, SessionTooLarge, load
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute

from tests.process.traffic import held_ports

if TYPE_CHECKING:
    from starlette.websockets import WebSocket

KEY = "k" * 32
View = Callable[[Request], Awaitable[Response]]


def ask(view: View, body: Callable[[httpx.AsyncClient], Awaitable[None]], **options: Any) -> None:
    """Let `body` send requests to an application with this view."""
    asyncio.run(_ask(SessionMiddleware(Starlette(routes=[Route("/{do}", view)]), KEY, **options), body))


async def _ask(app: Any, body: Callable[[httpx.AsyncClient], Awaitable[None]]) -> None:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.test") as client:
        try:
            await body(client)
        finally:
            await shared.close()


async def shop(request: Request) -> Response:
    session: Any = request.session
    match request.path_params["do"]:
        case "login":
            session.renew()
            session["user"] = "ada"
        case "logout":
            session.clear()
        case "large":
            session["cart"] = "x" * 70_000
        case "object":
            session["user"] = object()
            return Response("")
    return JSONResponse(dict(session))


async def untouched(request: Request) -> Response:
    return Response("hello", headers={"Cache-Control": "public"} if request.path_params["do"] == "public" else None)


def test_a_session_from_login_to_logout() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        first = await client.get("/login")
        cookie = first.headers["set-cookie"]
        assert cookie.startswith("__Host-session=")
        assert cookie.endswith("; Max-Age=1209600; Path=/; HttpOnly; Secure; SameSite=Lax")
        assert (first.headers["vary"], first.headers["cache-control"]) == ("Cookie", "private")
        second = await client.get("/show")
        assert second.json() == {"user": "ada"}
        assert "set-cookie" not in second.headers
        assert second.headers["vary"] == "Cookie"
        old = dict(client.cookies)
        assert "Max-Age=0" in (await client.get("/logout")).headers["set-cookie"]
        assert not client.cookies
        assert (await client.get("/show", headers=_cookie(old))).json() == {}

    ask(shop, body)


def test_a_login_gives_another_id() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        await client.get("/login")
        planted = dict(client.cookies)
        await client.get("/login")
        assert dict(client.cookies) != planted
        assert (await client.get("/show", headers=_cookie(planted))).json() == {}

    ask(shop, body)


def test_who_doesnt_touch_the_session_gets_nothing() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        answer = await client.get("/public")
        assert not {"set-cookie", "vary"} & set(answer.headers)
        assert answer.headers["cache-control"] == "public"

    ask(untouched, body)


@pytest.mark.parametrize(
    "value", ["!", "a" * 43 + "." + "b" * 43, "é", '"', "a" * 60_000, "=;=;", "%00", "null", "__Host-session"]
)
def test_a_foreign_cookie_is_no_session(value: str) -> None:
    async def body(client: httpx.AsyncClient) -> None:
        headers = [(b"cookie", b"__Host-session=" + value.encode())]
        answer = await client.get("/show", headers=headers)
        assert (answer.status_code, answer.json()) == (200, {})
        answer = await client.get("/login", headers=headers)
        assert value not in answer.headers["set-cookie"].partition("=")[2].partition(";")[0]

    ask(shop, body)


def test_errors_name_what_is_wrong() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        with pytest.raises(SessionTooLarge, match="70011 bytes of JSON, and max_size allows 65536"):
            await client.get("/large")
        with pytest.raises(NotJSON, match=r"session\['user'\] is of type object"):
            await client.get("/object")

    ask(shop, body)
    with pytest.raises(KeysError):
        SessionMiddleware(shop, [])
    with pytest.raises(ValueError, match="idle is how many seconds"):
        SessionMiddleware(shop, KEY, idle=0)
    with pytest.raises(ValueError, match="max_size is 1 to 1047552 bytes"):
        SessionMiddleware(shop, KEY, max_size=1 << 20)


def test_for_development_without_https() -> None:
    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/login")).headers["set-cookie"].endswith("; Path=/; HttpOnly; SameSite=Lax")

    ask(shop, body, secure=False)


def test_a_change_after_the_response_has_begun_is_an_error() -> None:
    late: list[str] = []

    async def view(request: Request) -> Response:
        async def run(scope: Any, receive: Any, send: Any) -> None:
            await Response("hello")(scope, receive, send)
            try:
                request.session["late"] = 1
            except RuntimeError as error:
                late.append(str(error))

        class Late(Response):
            __call__ = staticmethod(run)

        return Late()

    async def body(client: httpx.AsyncClient) -> None:
        await client.get("/")
        await client.get("/x")

    ask(view, body)
    assert late == ["the response has begun, and the session was saved with its head: change it before"]


def test_lazily_nothing_is_read_before_it_is_asked_for() -> None:
    async def view(request: Request) -> Response:
        if request.path_params["do"] == "early":
            with pytest.raises(NotLoaded, match=r"await corepod\.shared\.sessions\.load"):
                request.session["user"]
            return Response("")
        session = await load(request)
        session["visits"] = session.get("visits", 0) + 1
        return JSONResponse(dict(request.session))

    async def body(client: httpx.AsyncClient) -> None:
        assert (await client.get("/early")).status_code == 200
        for visits in (1, 2):
            assert (await client.get("/x")).json() == {"visits": visits}

    ask(view, body, eager=False)


@pytest.mark.parametrize("eager", [True, False])
def test_an_outage_is_only_for_those_who_use_the_session(eager: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    async def view(request: Request) -> Response:
        if request.path_params["do"] == "untouched":
            return Response("hello")
        session = await load(request) if not eager else request.session
        session["user"] = "ada"
        return JSONResponse(dict(session))

    async def fill(client: httpx.AsyncClient) -> None:
        await client.get("/x")
        kept.update(client.cookies)

    async def body(client: httpx.AsyncClient) -> None:
        client.cookies.update(kept)
        assert (await client.get("/untouched")).text == "hello"
        with pytest.raises(shared.Unavailable):
            await client.get("/x")

    kept: dict[str, str] = {}
    ask(view, fill, eager=eager)
    with held_ports(1) as [port]:  # on which nothing answers
        monkeypatch.setenv("COREPOD_SHARED", f"redis://127.0.0.1:{port}/0")
        ask(view, body, eager=eager)


def test_a_websocket_has_the_session_and_may_change_it_until_it_is_accepted() -> None:
    async def connect(socket: WebSocket) -> None:
        session: Any = socket.session
        session["user"] = session.get("user", "nobody")
        await socket.accept()
        with pytest.raises(RuntimeError, match="the response has begun"):
            session["user"] = "late"
        await socket.send_text(session["user"])
        await socket.close()

    app = SessionMiddleware(Starlette(routes=[WebSocketRoute("/", connect)]), KEY)

    async def handshake(cookie: bytes) -> list[Any]:
        sent: list[Any] = []
        scope = {
            "type": "websocket",
            "path": "/",
            "headers": [(b"cookie", cookie)],
            "query_string": b"",
            "root_path": "",
        }

        async def receive() -> Any:
            return {"type": "websocket.connect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await app(scope, receive, send)
        return sent

    async def body() -> None:
        accepted, text, _ = await handshake(b"")
        assert text["text"] == "nobody"
        cookie = dict(accepted["headers"])[b"set-cookie"].partition(b";")[0]
        accepted, text, _ = await handshake(cookie)
        assert text["text"] == "nobody"
        assert b"set-cookie" not in dict(accepted["headers"])
        await shared.close()

    asyncio.run(body())


def test_without_the_middleware_load_says_so() -> None:
    with pytest.raises(RuntimeError, match=r"add corepod\.shared\.sessions\.SessionMiddleware"):
        asyncio.run(load({"type": "http"}))


def _cookie(cookies: dict[str, str]) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
