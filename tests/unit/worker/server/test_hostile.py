"""What strangers send to a public port: requests that two servers in a row would understand differently, and floods.

Whatever comes, a request gets at most one response, what can't be trusted closes its connection, and the worker goes on
serving with everything it counts back at 0. The identifiers are those of faults found in servers of this kind.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from corepod.contract.scoreboard import CONNECTIONS, IN_FLIGHT, REQUESTS
from starlette.applications import Starlette
from starlette.responses import FileResponse, PlainTextResponse
from starlette.routing import Route

from tests.unit.h2client import Http2
from tests.unit.served import DEADLINE, Served, get, read_all, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOST = b"Host: test\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the length of the body it was given."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            pass
        return
    body = b""
    while (message := await receive())["type"] == "http.request":
        body += message["body"]
        if not message["more_body"]:
            break
    text = b"%s %d" % (scope["path"].encode(), len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(text))]})
    await send({"type": "http.response.body", "body": text})


@pytest.fixture
def served() -> Iterator[Served]:
    with Served(app, keep_alive=DEADLINE) as server:
        yield server
        server.until_idle()
        assert get(server, "/alive").text == "/alive 0"
        server.until_idle()


def post(*parts: bytes) -> bytes:
    return b"POST /first HTTP/1.1\r\n" + HOST + b"".join(parts)


REFUSED = {
    "length and chunked at once (CVE-2024-1135, TE.CL)": (
        post(b"Content-Length: 4\r\n", CHUNKED, b"\r\n0\r\n\r\n", SMUGGLED),
        400,
    ),
    "chunked and length at once, the other way round": (
        post(CHUNKED, b"Content-Length: 60\r\n\r\n0\r\n\r\n", SMUGGLED),
        400,
    ),
    "chunked and something else": (post(b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", SMUGGLED), 501),
    "something else and chunked": (post(b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", SMUGGLED), 501),
    "chunked twice (CVE-2024-1135)": (post(CHUNKED, CHUNKED, b"\r\n0\r\n\r\n", SMUGGLED), 501),
    "chunked and identity on two lines": (
        post(CHUNKED, b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n", SMUGGLED),
        501,
    ),
    "almost chunked": (post(b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", SMUGGLED), 501),
    "vertical tab before chunked": (post(b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", SMUGGLED), 400),
    "space before the colon": (post(b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", SMUGGLED), 400),
    "space before the first header": (b"GET /first HTTP/1.1\r\n Host: test\r\n\r\n" + SMUGGLED, 400),
    "two lengths": (post(b"Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", SMUGGLED), 400),
    "two lengths on a line": (post(b"Content-Length: 4, 5\r\n\r\nabcde", SMUGGLED), 400),
    "length with a sign": (post(b"Content-Length: +4\r\n\r\nabcd", SMUGGLED), 400),
    "negative length": (post(b"Content-Length: -4\r\n\r\nabcd", SMUGGLED), 400),
    "length with an underscore": (post(b"Content-Length: 4_0\r\n\r\nabcd", SMUGGLED), 400),
    "length in hexadecimal": (post(b"Content-Length: 0x4\r\n\r\nabcd", SMUGGLED), 400),
    "empty length": (post(b"Content-Length: \r\n\r\nabcd", SMUGGLED), 400),
    "length beyond all measure": (post(b"Content-Length: " + b"9" * 30 + b"\r\n\r\nabcd", SMUGGLED), 400),
    "chunk that doesn't end where it says (CVE-2025-43859)": (
        post(CHUNKED, b"\r\n3\r\nabcXX3\r\nabc\r\n0\r\n\r\n", SMUGGLED),
        400,
    ),
    "negative chunk": (post(CHUNKED, b"\r\n-3\r\nabc\r\n0\r\n\r\n", SMUGGLED), 400),
    "chunk size with 0x": (post(CHUNKED, b"\r\n0x3\r\nabc\r\n0\r\n\r\n", SMUGGLED), 400),
    "chunk size with an underscore": (post(CHUNKED, b"\r\n1_0\r\nabc\r\n0\r\n\r\n", SMUGGLED), 400),
    "chunk beyond all measure": (post(CHUNKED, b"\r\n" + b"f" * 30 + b"\r\nabc\r\n0\r\n\r\n", SMUGGLED), 400),
    "junk behind the last chunk": (post(CHUNKED, b"\r\n0\r\n\x00\r\n\r\n", SMUGGLED), 400),
    "two hosts": (b"GET /first HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n" + SMUGGLED, 400),
    "no host": (b"GET /first HTTP/1.1\r\n\r\n" + SMUGGLED, 400),
    "chunked in HTTP/1.0": (b"POST /first HTTP/1.0\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + SMUGGLED, 400),
    "NUL in a value": (b"GET /first HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n" + SMUGGLED, 400),
    "CR in a value": (b"GET /first HTTP/1.1\r\n" + HOST + b"X: a\rY: b\r\n\r\n" + SMUGGLED, 400),
    "header name with a space": (b"GET /first HTTP/1.1\r\n" + HOST + b"X Y: b\r\n\r\n" + SMUGGLED, 400),
    "header without a name": (b"GET /first HTTP/1.1\r\n" + HOST + b": b\r\n\r\n" + SMUGGLED, 400),
    "bytes in the target": (b"GET /fi\xffrst HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 400),
    "two targets": (b"GET /first /second HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 400),
    "CONNECT": (b"CONNECT test:80 HTTP/1.1\r\n" + HOST + b"\r\n" + SMUGGLED, 501),
    "a version between": (b"GET /first HTTP/1.2\r\n" + HOST + b"\r\n" + SMUGGLED, 505),
    "a version that has another form": (b"GET /first HTTP/2.0\r\n" + HOST + b"\r\n" + SMUGGLED, 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"r" * 200, 400),
    "a head that is too large": (b"GET /first HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 20000 + b"\r\n\r\n", 431),
    "a head that doesn't end": (b"GET /first HTTP/1.1\r\n" + HOST + b"X: " + b"a" * 70000, 431),
    "a chunk's extension that doesn't end": (post(CHUNKED, b"\r\n3;" + b"a" * 70000), 431),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(served: Served, name: str) -> None:
    request, status = REFUSED[name]
    answer = served.raw(request)
    assert answer.startswith(b"HTTP/1.1 %d" % status), answer
    assert answer.count(b"HTTP/1.1 ") == 1, "one response"
    assert b"smuggled" not in answer


@pytest.mark.parametrize("name", [name for name, (request, _) in REFUSED.items() if len(request) < 1000])
def test_refused_byte_by_byte(served: Served, name: str) -> None:
    """How a request is cut into packets must not change what it is."""
    request, status = REFUSED[name]
    with served.connect() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # it may be closed before everything is said
            for byte in request:
                sock.send(bytes([byte]))
        answer = read_all(sock)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert b"smuggled" not in answer
    assert b" 200 " not in answer
    assert not answer or answer.startswith(b"HTTP/1.1 %d" % status)


ALLOWED = {
    "a chunk with an extension": (post(CHUNKED, b"\r\n3;a=b\r\nabc\r\n0\r\n\r\n"), b"/first 3"),
    "trailers": (post(CHUNKED, b"\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n"), b"/first 3"),
}
# What a server may refuse or allow: h11 allows it, llhttp doesn't.
TOLERATED = {
    "the same length twice": (post(b"Content-Length: 4\r\nContent-Length: 4\r\n\r\nabcd"), b"/first 4", 400),
    "lines that end with LF": (b"GET /first HTTP/1.1\nHost: test\n\n", b"/first 0", 400),
    "a folded value": (b"GET /first HTTP/1.1\r\nHost: test\r\nX: a\r\n b\r\n\r\n", b"/first 0", 400),
    "a method of its own": (b"A" * 3000 + b" /first HTTP/1.1\r\nHost: test\r\n\r\n", b"/first 0", 501),
}
LAST = b"GET /second HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("name", ALLOWED)
def test_allowed(served: Served, name: str) -> None:
    """What the specifications allow is one request, and the next one is the next one."""
    request, body = ALLOWED[name]
    answer = served.raw(request + LAST)
    assert answer.count(b"HTTP/1.1 200") == 2
    assert body in answer
    assert answer.endswith(b"/second 0")


@pytest.mark.parametrize("name", TOLERATED)
def test_tolerated(served: Served, implementation: str, name: str) -> None:
    """It is one request, or none."""
    request, body, status = TOLERATED[name]
    answer = served.raw(request + LAST)
    if implementation == "h11":
        assert answer.count(b"HTTP/1.1 200") == 2
        assert body in answer
        assert answer.endswith(b"/second 0")
    else:
        assert answer.startswith(b"HTTP/1.1 %d" % status)
        assert answer.count(b"HTTP/1.1 ") == 1


def test_half_a_request_is_no_request(served: Served) -> None:
    for request in (b"GET / HT", post(b"Content-Length: 5\r\n\r\nabc"), post(CHUNKED, b"\r\n5\r\nabc")):
        with served.connect() as sock:
            sock.sendall(request)
    served.until_idle()


def test_a_thousand_requests_at_once_are_served_one_after_the_other(served: Served) -> None:
    one = b"GET /one HTTP/1.1\r\nHost: test\r\n\r\n"
    answer = served.raw(one * 999 + b"GET /last HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200") == 1000
    assert answer.endswith(b"/last 0")


def test_a_response_header_with_a_line_break_never_reaches_the_client() -> None:
    async def careless(scope: Any, receive: Any, send: Any) -> None:
        headers = [(b"location", b"/x\r\nSet-Cookie: a=b"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    with Served(careless) as served:
        answer = served.raw(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert b"Set-Cookie" not in answer
        served.until_idle()


# HTTP/2


@pytest.fixture
def client(served: Served) -> Iterator[Http2]:
    with served.connect() as sock:
        yield Http2(sock)


BAD_HEADS: dict[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "bytes in the path": ("/p\xff", "GET", ()),
    "a space in the path": ("/a b", "GET", ()),
    "a line break in the path": ("/a\nb", "GET", ()),
    "an empty path": ("", "GET", ()),
    "bytes in the method": ("/", "G\xcbT", ()),
    "a space in the method": ("/", "GET /x", ()),
    "a length that is no number": ("/", "GET", (("content-length", "abc"),)),
    "a negative length": ("/", "GET", (("content-length", "-5"),)),
    "a second host (CVE-2026-71554)": ("/", "GET", (("host", "a"), ("host", "b"))),
    "a line break in a value (CVE-2025-57804)": ("/", "GET", (("x", "a\r\ny: b"),)),
    "NUL in a value": ("/", "GET", (("x", "a\0b"),)),
    "transfer-encoding": ("/", "GET", (("transfer-encoding", "chunked"),)),
    "connection": ("/", "GET", (("connection", "keep-alive"),)),
    "an upper-case name": ("/", "GET", (("X-Upper", "a"),)),
    "a pseudo header at the end": ("/", "GET", (("x", "a"), (":path", "/b"))),
    "an unknown pseudo header": ("/", "GET", ((":unknown", "a"),)),
    "a tunnel": ("/", "CONNECT", ()),
    "a head that is too large": ("/", "GET", (("x", "a" * 20000),)),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_http2_bad_head(served: Served, client: Http2, name: str) -> None:
    path, method, extra = BAD_HEADS[name]
    stream = client.request(path, method, *extra)
    client.read_until(stream)
    assert client.statuses.get(stream, 400) in (400, 431, 501)
    assert served.words[REQUESTS] == 0, "the application never saw it"


def test_http2_a_tunnel_without_a_path(served: Served, client: Http2) -> None:
    client.h2.send_headers(1, [(":method", "CONNECT"), (":authority", "test:80")])
    client.flush()
    client.read_until(1)
    assert client.statuses.get(1, 501) in (400, 501)
    assert served.words[REQUESTS] == 0


def test_http2_a_bad_head_hurts_nobody_else_on_the_connection(client: Http2) -> None:
    assert client.get("/a b")[0] == 400
    assert client.get("/next") == (200, b"/next 0")


def test_http2_a_body_longer_than_announced_is_refused(served: Served, client: Http2) -> None:
    stream = client.request("/", "POST", ("content-length", "3"), end=False)
    client.data(stream, b"abcdef", end=True)
    client.read_until(stream)
    assert stream not in client.statuses


def test_http2_rapid_reset(served: Served, client: Http2) -> None:
    """CVE-2023-44487: ask and take it back, ten thousand times."""
    flood(client, lambda stream: client.h2.reset_stream(stream))
    assert client.goaway.error_code == 11  # ENHANCE_YOUR_CALM
    assert served.words[REQUESTS] < 400


def test_http2_made_you_reset(served: Served, client: Http2) -> None:
    """CVE-2025-8671: ask, and make the server take it back by a frame that breaks the rules."""
    overflow = struct.pack(">I", 2**31 - 1)

    def provoke(stream: int) -> None:
        client.sock.sendall(frame(8, 0, stream, overflow))

    flood(client, provoke)
    assert served.words[REQUESTS] < 400


def flood(client: Http2, after: Any) -> None:
    client.sock.settimeout(DEADLINE)
    with contextlib.suppress(OSError):
        for _ in range(10_000):
            after(client.request("/"))
            client.flush()
    client.read_all()


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def test_http2_headers_that_never_end(served: Served, client: Http2) -> None:
    """CONTINUATION frames without end (the class of VU#421644)."""
    with contextlib.suppress(OSError):
        client.sock.sendall(frame(1, 0, 1, b"\x82"))
        for _ in range(10_000):
            client.sock.sendall(frame(9, 0, 1, b"\x00\x01a\x01b"))
    client.read_all()
    assert served.words[REQUESTS] == 0


def test_http2_headers_that_grow_when_unpacked(served: Served, client: Http2) -> None:
    """One entry of 4 KB, named three thousand times: 12 MB from 3 KB."""
    entry = b"\x40\x01a" + b"\x7f\x80\x1e" + b"b" * 3967
    with contextlib.suppress(OSError):
        client.sock.sendall(frame(1, 4, 1, entry + b"\xbe" * 3000))
    client.read_all()
    assert served.words[REQUESTS] == 0


@pytest.mark.parametrize(
    ("name", "one"),
    [("pings", frame(6, 0, 0, b"8 bytes.")), ("settings", frame(4, 0, 0, b"")), ("empty data", frame(0, 0, 1, b""))],
)
def test_http2_a_flood_nobody_reads_the_answers_of(served: Served, client: Http2, name: str, one: bytes) -> None:
    """CVE-2019-9512, -9515, -9518: what is answered and not read must not pile up in the worker."""
    if name == "empty data":
        client.request("/", "POST", end=False)
    with contextlib.suppress(OSError):
        while True:
            client.sock.sendall(one * 1000)
    until(lambda: not served.words[IN_FLIGHT] and not served.words[CONNECTIONS], "it is cut off")


# WebSocket

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\x03abc",  # not masked
        b"\x83\x80mask",  # an opcode that means nothing
        b"\xf1\x80mask",  # reserved bits
        b"\x09\x80mask",  # half a ping
        b"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xffmask",  # 9 exabytes
        b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xffmask",  # less than nothing
        b"\x81\x82\0\0\0\0\xff\xfe",  # not UTF-8
        b"\x80\x81\0\0\0\0a",  # goes on with nothing
        b"\x88\x81\0\0\0\0\x03",  # half a close code
        b"GET / HTTP/1.1\r\nHost: test\r\n\r\n",
    ],
)
def test_websocket_garbage(served: Served, data: bytes) -> None:
    with served.connect() as sock:
        sock.sendall(UPGRADE + b"\r\n")
        head = b""
        while b"\r\n\r\n" not in head:
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101")
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        assert b"HTTP/1.1" not in read_all(sock)
    served.until_idle()


@pytest.mark.parametrize(
    "request_",
    [
        UPGRADE.replace(b"Sec-WebSocket-Version: 13\r\n", b"") + b"\r\n",
        UPGRADE.replace(b"13", b"99") + b"\r\n",
        UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"") + b"\r\n",
        UPGRADE + b"Content-Length: 3\r\n\r\nabc",
    ],
)
def test_websocket_bad_handshake(served: Served, request_: bytes) -> None:
    answer = served.raw(request_)
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1 ") == 1
    served.until_idle()


# Frameworks of the versions that are pinned


def test_starlette_many_ranges(tmp_path: Path) -> None:
    """CVE-2025-62727: ten thousand ranges took quadratic time."""
    file = tmp_path / "file.txt"
    file.write_bytes(b"x" * 100_000)

    async def download(request: Any) -> FileResponse:
        return FileResponse(file)

    with Served(Starlette(routes=[Route("/", download)]), limit_header=1 << 20) as served:
        ranges = ",".join(f"{n * 3}-{n * 3}" for n in range(10_000))
        started = time.process_time()
        answer = httpx.get(served.url(), headers={"range": f"bytes={ranges}"}, timeout=DEADLINE)
        assert answer.status_code in (200, 206, 400, 416)
        assert time.process_time() - started < 5.0, "quadratic time took minutes"
        served.until_idle()


def test_starlette_a_host_with_a_path_in_it() -> None:
    """CVE-2026-48710: request.url.path came from the Host header."""

    async def path(request: Any) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    with Served(Starlette(routes=[Route("/real", path)])) as served:
        answer = served.raw(b"GET /real HTTP/1.1\r\nHost: x/admin?\r\nConnection: close\r\n\r\n")
        assert b"admin" not in answer
        served.until_idle()
