"""The cookie's attributes are those that browsers accept, and a Cookie header is read whatever is in it."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from corepod.shared.sessions.cookie import Cookie, checked
from hypothesis import given
from hypothesis import strategies as st


def make(
    name: str | None = None,
    path: str = "/",
    domain: str | None = None,
    secure: bool = True,
    samesite: str = "Lax",
) -> Cookie:
    return checked(name, path, domain, secure, samesite)


def test_the_default_is_the_strictest() -> None:
    assert make().given("abc", 60) == "__Host-session=abc; Max-Age=60; Path=/; HttpOnly; Secure; SameSite=Lax"
    assert make().given("abc", None) == "__Host-session=abc; Path=/; HttpOnly; Secure; SameSite=Lax"


@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        (make(secure=False), "session=v; Max-Age=9; Path=/; HttpOnly; SameSite=Lax"),
        (make(path="/shop"), "session=v; Max-Age=9; Path=/shop; HttpOnly; Secure; SameSite=Lax"),
        (
            make(domain="example.org", samesite="strict"),
            "session=v; Max-Age=9; Path=/; Domain=example.org; HttpOnly; Secure; SameSite=Strict",
        ),
        (make("sid", samesite="none"), "sid=v; Max-Age=9; Path=/; HttpOnly; Secure; SameSite=None"),
    ],
)
def test_attributes(cookie: Cookie, header: str) -> None:
    assert cookie.given("v", 9) == header
    parsed = SimpleCookie(header)[cookie.name]
    assert (parsed.value, parsed["max-age"], parsed["path"]) == ("v", "9", cookie.path)
    gone = SimpleCookie(cookie.taken_away())[cookie.name]
    assert (gone.value, gone["max-age"], gone["path"], gone["domain"]) == ("", "0", cookie.path, cookie.domain or "")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "a b"}, "can't be named 'a b'"),
        ({"name": "a;b"}, "can't be named"),
        ({"name": "a\n"}, "can't be named"),
        ({"path": "shop"}, "begins with /"),
        ({"path": "/;Domain=evil"}, "has no semicolon"),
        ({"domain": "a; b"}, "can't have the domain"),
        ({"samesite": "sometimes"}, "Lax, Strict or None, but is 'sometimes'"),
        ({"samesite": "None", "secure": False}, "refuse a cookie with samesite=None"),
        ({"name": "__Host-x", "secure": False}, "accept __Host-x only with"),
        ({"name": "__Host-x", "path": "/a"}, "accept __Host-x only with"),
        ({"name": "__host-x", "domain": "a.org"}, "accept __host-x only with"),
        ({"name": "__Secure-x", "secure": False}, "accept __Secure-x only with secure=True"),
    ],
)
def test_what_no_browser_accepts_is_an_error(wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**wrong)  # type: ignore[arg-type]


def test_values_of_a_header() -> None:
    cookie = make("s")
    assert cookie.values('a=1; s=2;s=3 ; xs=4; s; =5; S=6; s="7"') == ["2", "3", "7"]
    assert cookie.values("") == []
    assert len(cookie.values("; ".join(["s=x"] * 1000))) == 8


@given(st.text())
def test_any_header_can_be_read(header: str) -> None:
    make("s").values(header)


@given(st.lists(st.text("abc019-_.", min_size=1), max_size=5))
def test_what_was_given_comes_back(values: list[str]) -> None:
    cookie = make()
    assert cookie.values("; ".join(cookie.given(value, 1).split(";")[0] for value in values)) == values
