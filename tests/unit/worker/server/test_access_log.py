"""The access log: what each atom says of a real request, that every reader of the Common Log Format understands the
default, and that no client writes anything but its own fields."""

from __future__ import annotations

import base64
import json
import os
import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest
from corepod.config.checks import ATOMS
from corepod.contract.scoreboard import IN_FLIGHT
from corepod.worker import logs

from tests.unit.clf import fields
from tests.unit.h2client import Http2
from tests.unit.served import Served, settings, until

if TYPE_CHECKING:
    from tests.unit.worker.conftest import Streams

CREDENTIALS = base64.b64encode(b"ann:secret")


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        return
    status = 404 if scope["path"] == "/missing" else 200
    headers = [(b"X-Id", b"r1"), (b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["path"] == "/stream":
        for _ in range(3):
            await send({"type": "http.response.body", "body": b"12345", "more_body": True})
    await send({"type": "http.response.body", "body": b"hello"})


def lines(streams: Streams, *requests: bytes, app: Any = app, **changed: Any) -> list[str]:
    """What is written for these requests, each on a connection of its own."""
    logs.configure_logging(settings(**changed))
    with Served(app, access_log=True, **changed) as served:
        for request in requests:
            served.raw(request)
        served.until_idle()
    return streams.out.splitlines()


def get(target: bytes, *headers: bytes, method: bytes = b"GET") -> bytes:
    head = [method + b" " + target + b" HTTP/1.1", b"Host: test", *headers, b"Connection: close"]
    return b"\r\n".join(head) + b"\r\n\r\n"


TIME = r"\[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
EXPECTED = {
    "h": r"127\.0\.0\.1",
    "l": "-",
    "u": "ann",
    "t": TIME,
    "r": r"GET /a%20%C3%9F\?q=1&r=%20 HTTP/1\.1",
    "R": r"GET /a%20%C3%9F\?q=1&r=%20 HTTP/1\.1",
    "s": "200",
    "st": "OK",
    "S": "http",
    "m": "GET",
    "U": "/a ß",
    "Uq": r"/a ß\?q=1&r=%20",
    "q": "q=1&r=%20",
    "H": r"HTTP/1\.1",
    "b": "5",
    "B": "5",
    "f": "http://before/",
    "a": r"cli/1 \(x\)",
    "T": r"\d+",
    "M": r"\d+",
    "D": r"\d+",
    "L": r"\d+\.\d{6}",
    "p": f"<{os.getpid()}>",
    "{x-Req}i": "q7",
    "{missing}i": "-",
    "{x-id}o": "r1",
    "{Content-Type}o": "text/plain",
    "{missing}o": "-",
    "{SHOP_NAME}e": "tea",
    "{shop_name}e": "tea",
    "{NO_SUCH_NAME}e": "-",
    "{REMOTE_ADDR}e": r"127\.0\.0\.1",
    "{remote_port}e": r"\d+",
    "{HTTP_X_REQ}e": "q7",
    "{PATH_INFO}e": "/a ß",
    "{RAW_URI}e": r"/a%20%C3%9F\?q=1&r=%20",
    "{wsgi.url_scheme}e": "http",
    "{REMOTE_USER}e": "-",
}


def test_every_atom(streams: Streams, monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(ATOMS) <= set(EXPECTED)
    monkeypatch.setenv("SHOP_NAME", "tea")
    heads = [b"Authorization: Basic " + CREDENTIALS, b"Referer: http://before/", b"User-Agent: cli/1 (x)", b"X-Req: q7"]
    form = "|".join(f"%({atom})s" for atom in EXPECTED)
    (line,) = lines(streams, get(b"/a%20%C3%9F?q=1&r=%20", *heads), access_log_format=form)
    found = dict(zip(EXPECTED, line.split("|"), strict=True))
    assert {atom: text for atom, text in found.items() if not re.fullmatch(EXPECTED[atom], text)} == {}


def test_times_are_of_one_length_of_time(streams: Streams) -> None:
    async def slow(scope: Any, receive: Any, send: Any) -> None:
        began = time.monotonic()
        while time.monotonic() - began < 0.02:
            pass
        await app(scope, receive, send)

    (line,) = lines(streams, get(b"/"), app=slow, access_log_format="%(T)s %(M)s %(D)s %(L)s")
    whole, milli, micro, seconds = line.split()
    assert int(micro) >= 20_000
    assert (int(whole), int(milli)) == (int(micro) // 1_000_000, int(micro) // 1000)
    assert abs(float(seconds) - int(micro) / 1e6) <= 2e-6


COMBINED = re.compile(r'(\S+) - (\S+) \[([^]]+)\] "([A-Z]+) (\S+) HTTP/([\d.]+)" (\d{3}) (\d+|-) "([^"]*)" "([^"]*)"')


@pytest.mark.parametrize("prefixed", [[], ["stdout", "stderr"]])
def test_a_line_is_exactly_its_format(streams: Streams, prefixed: list[str]) -> None:
    """gunicorn's own format is the combined one, and its readers match whole lines."""
    form = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    agent = b'User-Agent: a "b"'
    (line,) = lines(streams, get(b"/x?y=1", agent), access_log_format=form, prefixed=prefixed)
    found = COMBINED.fullmatch(line)
    assert found, line
    assert found.groups()[3:] == ("GET", "/x?y=1", "1.1", "200", "5", "-", r"a \x22b\x22")


def test_paths_that_are_left_out(streams: Streams) -> None:
    asked = [
        b"/health",
        b"/health?full=1",
        b"/healthy",
        b"/a/live",
        b"/a/b/live",
        b"/live",
        b"/static/a.css",
        b"/a.b",
        b"/axb",
    ]
    skip = ["/health", "/*/live", "/static/*", "/a.b"]
    got = lines(streams, *map(get, asked), access_log_format="%(U)s", access_log_skip=skip)
    assert got == ["/healthy", "/live", "/axb"]


def test_the_default_is_the_common_log_format(streams: Streams) -> None:
    before = time.time()
    first, second = lines(streams, get(b"/a?q=1"), get(b"/missing", b"Authorization: Basic " + CREDENTIALS))
    found = fields(first)
    assert [found[k] for k in ("h", "l", "u", "m", "path", "version", "s", "b")] == [
        *("127.0.0.1", "-", "-", "GET", "/a?q=1", "1.1", "200", "5"),
    ]
    when = datetime.strptime(found["t"], "%d/%b/%Y:%H:%M:%S %z")
    assert before - 1 <= when.timestamp() <= time.time()
    found = fields(second)
    assert (found["u"], found["s"], found["b"]) == ("ann", "404", "5")


@pytest.mark.parametrize("answer", [(b"", "0"), (b"/stream", "20"), (b"HEAD", "0")])
def test_the_size_is_what_was_sent_of_the_body(streams: Streams, answer: tuple[bytes, str]) -> None:
    target, size = answer

    async def nothing(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    method = b"HEAD" if target == b"HEAD" else b"GET"
    path = target if target.startswith(b"/") else b"/"
    (line,) = lines(streams, get(path, method=method), app=nothing if not target else app)
    assert fields(line)["b"] == size


def test_a_client_that_leaves_has_a_line_with_a_number(streams: Streams) -> None:
    async def never(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    logs.configure_logging(settings())
    with Served(never, access_log=True, access_log_format="%(s)s %(st)s %(b)s") as served:
        with served.connect() as sock:
            sock.sendall(get(b"/gone"))
            until(lambda: served.words[IN_FLIGHT], "it is in flight")
        served.until_idle()
    assert streams.out.splitlines() == ["499 Client Closed Request 0"]


@pytest.mark.parametrize(
    ("forwarded", "shown"), [(b"9.9.9.9", "9.9.9.9"), (b"2001:db8::1", "2001:db8::1"), (b"nobody", "127.0.0.1")]
)
def test_behind_a_proxy_the_client_has_no_port(streams: Streams, forwarded: bytes, shown: str) -> None:
    (line,) = lines(streams, get(b"/", b"X-Forwarded-For: " + forwarded))
    assert fields(line)["h"] == shown


def test_http2(streams: Streams) -> None:
    logs.configure_logging(settings())
    with Served(app, access_log=True) as served:
        with served.connect() as sock:
            assert Http2(sock).get("/stream?q=1")[0] == 200
        served.until_idle()
    (line,) = streams.out.splitlines()
    found = fields(line)
    assert (found["m"], found["path"], found["version"], found["s"], found["b"]) == (
        *("GET", "/stream?q=1", "2", "200", "20"),
    )


def test_a_websocket_has_the_line_of_its_handshake(streams: Streams) -> None:
    heads = (b"Upgrade: websocket", b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", b"Sec-WebSocket-Version: 13")
    shake = get(b"/talk?x=1", *heads).replace(b"Connection: close", b"Connection: Upgrade")
    logs.configure_logging(settings())
    with Served(app, access_log=True) as served:
        with served.connect() as sock:
            sock.sendall(shake)
            assert sock.recv(100).startswith(b"HTTP/1.1 101 ")
        served.until_idle()
    (line,) = streams.out.splitlines()
    found = fields(line)
    assert (found["m"], found["path"], found["version"], found["s"], found["b"]) == (
        *("GET", "/talk?x=1", "1.1", "101", "0"),
    )


# What a client chooses

HOSTILE = {
    "a quote in the path": get(b'/"forged'),
    "a quote, encoded": get(b"/%22%20200%201%20forged"),
    "a backslash at the end": get(b"/forged\\"),
    "another version": get(b"/%20HTTP/1.1%22%20200%205%20forged"),
    "line breaks": get(b"/%0d%0aforged"),
    "a user name": get(
        b"/forged", b"Authorization: Basic " + base64.b64encode(b'a - [x] "GET / HTTP/1.1" 200 1\n0.1\n:')
    ),
    "a user name that isn't one": get(b"/forged", b"Authorization: Basic ,"),
    "a user name that isn't UTF-8": get(b"/forged", b"Authorization: Basic " + base64.b64encode(b"\xff\x85:")),
}


@pytest.mark.parametrize("request_", HOSTILE.values(), ids=HOSTILE)
def test_a_client_forges_no_field(streams: Streams, request_: bytes) -> None:
    """Whatever it sends, there is one line, and its fields are where they belong."""
    (line,) = lines(streams, request_)
    found = fields(line)
    assert (found["h"], found["m"], found["version"], found["s"], found["b"]) == (
        *("127.0.0.1", "GET", "1.1", "200", "5"),
    )
    assert "forged" in found["path"]
    assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "text", "field"),
    [
        (b'Say "hi"', r"Say \x22hi\x22", 'Say "hi"'),
        (b"back\\", r"back\x5c", "back\\"),
        ("Straße".encode(), "Straße", "Straße"),
        (b"Stra\xdfe", r"Stra\xdfe", r"Stra\xdfe"),
        ("\u2028\u202eme".encode(), r"\u2028\u202eme", "\u2028\u202eme"),
    ],
)
def test_what_a_header_holds(streams: Streams, value: bytes, text: str, field: str) -> None:
    """As text it is safe between quotes; as JSON it is what was sent."""
    request = get(b"/", b"User-Agent: " + value)
    (line,) = lines(streams, request, access_log_format='"%(a)s" "%({user-agent}i)s" end')
    assert line == f'"{text}" "{text}" end'
    (entry,) = map(json.loads, lines(streams, request, log_format="json")[1:])
    assert entry["user_agent"] == field


def test_an_answers_headers_are_safe_too(streams: Streams) -> None:
    async def odd(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-id", b'\xff"')]})
        await send({"type": "http.response.body"})

    assert lines(streams, get(b"/"), app=odd, access_log_format='"%({x-id}o)s"') == [r'"\xff\x22"']


def test_json_has_the_same_fields_by_name(streams: Streams) -> None:
    request = get(b"/a%20b?q=1", b"Referer: http://before/", b"User-Agent: cli", b"X-Forwarded-For: 9.9.9.9")
    (line,) = lines(streams, request, log_format="json")
    entry = json.loads(line)
    assert 0 <= entry.pop("duration") < 60
    expected = {"client": "9.9.9.9", "method": "GET", "path": "/a b", "query": "q=1", "protocol": "HTTP/1.1"}
    expected |= {"referer": "http://before/", "user_agent": "cli"}
    assert {name: entry[name] for name in expected} == expected
    assert (entry["status"], entry["size"]) == (200, 5)
    assert fields(entry["message"])["path"] == "/a%20b?q=1"
