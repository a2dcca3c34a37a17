"""The middleware for WSGI, around an application without a framework."""

from __future__ import annotations

from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from corepod.shared.sessions import KeysError
from corepod.shared.sessions.wsgi import SessionMiddleware

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "k" * 32


def shop(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    session = environ["corepod.session"]
    match environ["PATH_INFO"]:
        case "/login":
            session.renew()
            session["user"] = "ada"
        case "/logout":
            session.clear()
        case "/static":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"static"]
    user = session.get("user", "nobody")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [user.encode()]


def call(app: Any, path: str, cookie: str = "") -> tuple[str, dict[str, str]]:
    environ: dict[str, Any] = {"SCRIPT_NAME": "", "PATH_INFO": path, "HTTP_COOKIE": cookie, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    head: list[Any] = []

    def start_response(*args: Any) -> Any:
        head.extend(args)
        return lambda data: None

    chunks: Any = validator(SessionMiddleware(app, KEY))(environ, start_response)
    try:
        body = b"".join(chunks).decode()
    finally:
        chunks.close()
    return body, dict(head[1])


def test_a_session_from_login_to_logout() -> None:
    _, headers = call(shop, "/login")
    ((name, morsel),) = SimpleCookie(headers["Set-Cookie"]).items()
    assert (name, morsel["httponly"], morsel["secure"], morsel["samesite"]) == ("__Host-session", True, True, "Lax")
    cookie = f"{name}={morsel.value}"
    body, headers = call(shop, "/", cookie)
    assert body == "ada"
    assert headers == {"Content-Type": "text/plain", "Vary": "Cookie", "Cache-Control": "private"}
    assert "Max-Age=0" in call(shop, "/logout", cookie)[1]["Set-Cookie"]
    assert call(shop, "/", cookie)[0] == "nobody"


def test_who_doesnt_touch_the_session_gets_nothing() -> None:
    assert call(shop, "/static", "__Host-session=x") == ("static", {"Content-Type": "text/plain"})


def test_an_application_that_streams_sets_the_session_before_its_head() -> None:
    def streams(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        environ["corepod.session"]["seen"] = 1
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"one"
        with pytest.raises(RuntimeError, match="the response has begun"):
            environ["corepod.session"]["seen"] = 2
        yield b"two"

    body, headers = call(streams, "/")
    assert body == "onetwo"
    assert "Set-Cookie" in headers


def test_without_a_key_it_doesnt_start() -> None:
    with pytest.raises(KeysError):
        SessionMiddleware(shop, "")
