"""The cookie of sticky sessions in the first bytes of a connection, however they are cut, and whatever they are."""

from __future__ import annotations

from http.cookies import SimpleCookie

import pytest
from corepod.worker.sticky.cookie import Cookie, Look, is_public
from hypothesis import given
from hypothesis import strategies as st

POOL = "0123456789ab"
COOKIE = Cookie("corepod_sticky", POOL, "")
HERE, WAIT = Look(whole=True, slot=None), Look(whole=False, slot=None)


def request(*lines: str, method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} /socket.io/?t=1 HTTP/1.1", "Host: shop", *lines, "", ""]).encode()


GOOD = f"corepod_sticky={POOL}.3"
HEADS = [
    request(),
    request(f"Cookie: {GOOD}"),
    request(f"cookie:{GOOD}", "Accept: */*"),
    request(f"COOKIE: a=b; {GOOD}; c=d"),
    request("Cookie: a=b", f"Cookie: {GOOD}"),
    request("Cookie: corepod_sticky=ffffffffffff.1", f"Cookie: {GOOD}", method="POST") + b"\r\nCookie: x=y\r\n\r\n",
    request(method="PUT") + f"body\r\nCookie: {GOOD}\r\n\r\n".encode(),
    request(f"X-Cookie: {GOOD}", f"Referer: /\tCookie: {GOOD}"),
    request(f"Cookie: {GOOD}").replace(b"\r\n", b"\n"),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01",
    b"\r\n\r\n",
    b"GARBAGE without an end",
]
NAMED = [None, 3, 3, 3, 3, 3, None, None, 3, None, None, None, None]


@pytest.mark.parametrize(("head", "slot"), list(zip(HEADS, NAMED, strict=True)))
def test_the_first_bytes_name_a_slot(head: bytes, slot: int | None) -> None:
    assert COOKIE.look(head).slot == slot


@pytest.mark.parametrize("head", HEADS)
def test_a_cut_at_any_byte_says_the_same_or_nothing(head: bytes) -> None:
    whole = COOKIE.look(head)
    for cut in range(1, len(head)):
        assert COOKIE.look(head[:cut]) in (WAIT, whole)


LINES = st.sampled_from(
    [f"Cookie: {GOOD}\r\n", "Cookie: a=b; c\n", f"cookie:x; {GOOD[:-1]}7\r\n", "\r\n", "\n", "Accept: x\r\n", "\r", "z"]
)


@given(st.lists(LINES).map("".join), st.integers(1, 400))
def test_what_is_decided_stays_so(lines: str, cut: int) -> None:
    data = f"GET / HTTP/1.1\r\n{lines}".encode()
    before = COOKIE.look(data[:cut])
    if before.whole:
        assert COOKIE.look(data) == before


@given(st.binary(min_size=1, max_size=300))
def test_anything_may_come(data: bytes) -> None:
    assert COOKIE.look(data).slot is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        "3",
        ".3",
        f"{POOL}.",
        f"{POOL}.03",
        f"{POOL}.-1",
        f"{POOL}.+1",
        f"{POOL}.1e3",
        f"{POOL}.12345",
        f"{POOL}.3.4",
        f"{POOL}3",
        f"{POOL.upper()}.3",
        f"x{POOL}.3",
        f"{POOL}.٣",
        f'"{POOL}.3"',
        f"{POOL}.3" + "0" * 100_000,
        "ffffffffffff.3",  # another pool's
    ],
)
def test_what_the_pool_has_not_written_counts_as_none(value: str) -> None:
    assert COOKIE.slot(f"corepod_sticky={value}".encode()) is None
    assert COOKIE.look(request(f"Cookie: corepod_sticky={value}".encode().decode("latin-1"))) == HERE


@pytest.mark.parametrize("name", ["xcorepod_sticky", "corepod_sticky2", "Corepod_sticky", "a=corepod_sticky"])
def test_another_name_counts_as_none(name: str) -> None:
    assert COOKIE.slot(f"{name}={POOL}.3".encode()) is None


def test_the_first_valid_one_of_many_counts() -> None:
    many = "; ".join(["a=b"] * 100_000)
    assert COOKIE.slot(f"corepod_sticky=x; {many}; {GOOD};{GOOD[:-1]}4".encode()) == 3


@given(slot=st.integers(0, 9999), secure=st.booleans())
def test_what_is_set_is_what_is_read(slot: int, secure: bool) -> None:
    jar: SimpleCookie = SimpleCookie(COOKIE.setting(slot, secure=secure).decode())
    morsel = jar["corepod_sticky"]
    assert COOKIE.slot(f"a=1; {morsel.key}={morsel.value}".encode()) == slot
    assert (morsel["httponly"], morsel["samesite"], morsel["path"]) == (True, "Lax", "/")
    assert bool(morsel["secure"]) == secure
    assert not morsel["max-age"]
    assert not morsel["expires"]


@pytest.mark.parametrize(("root_path", "path"), [("", "/"), ("/", "/"), ("/shop", "/shop"), ("/shop/", "/shop")])
def test_its_path_is_the_prefix_of_the_application(root_path: str, path: str) -> None:
    assert f"; Path={path};" in Cookie("c", POOL, root_path).setting(0, secure=False).decode()


def test_a_name_is_no_pattern() -> None:
    assert Cookie("a-b", POOL, "").slot(f"a-b={POOL}.1".encode()) == 1


@pytest.mark.parametrize(
    ("headers", "public"),
    [
        ([], False),
        ([(b"cache-control", b"private, max-age=60")], False),
        ([(b"x", b"public")], False),
        ([(b"Cache-Control", b"max-age=60, Public")], True),
        ([(b"cache-control", b"s-maxage=60")], True),
    ],
)
def test_what_caches_give_to_everybody(headers: list[tuple[bytes, bytes]], public: bool) -> None:
    assert is_public(headers) == public


def test_long_heads_take_no_longer_than_their_length() -> None:
    """No pattern is quadratic: 64 KiB of the worst bytes are read in a moment, or this doesn't end."""
    for worst in (b"; \t" * 21_000, b"\r" * 65_000, b"\n" + b"cookie:" * 9_000, b"corepod_sticky=" * 4_000):
        for _ in range(20):
            COOKIE.slot(worst)
            COOKIE.look(b"GET / HTTP/1.1\r\nCookie: " + worst)
