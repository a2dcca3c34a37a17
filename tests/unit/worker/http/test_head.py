"""The head of a request as a whole, and the head of a response."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.worker.http.head import RefusedError, RequestHead
from corepod.worker.http.response import ABSENT, BY_CLOSING, CHUNKED, refusal, response_head
from corepod.worker.response_head import REASON

HOST = (b"host", b"test")
LENGTH, CODING = (b"content-length", b"3"), (b"transfer-encoding", b"chunked")


def head(*headers: tuple[bytes, bytes], method: bytes = b"GET", url: bytes = b"/", version: str = "1.1") -> RequestHead:
    request = RequestHead()
    request.method, request.url, request.version = method, url, version
    for name, value in headers:
        request.headers.append((name, value))
        if name in (b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade"):
            request.note(name, value)
    return request


@pytest.mark.parametrize(
    "request_",
    [
        head(HOST),
        head((b"host", b"")),
        head(HOST, LENGTH, method=b"POST"),
        head(HOST, CODING, method=b"POST"),
        head(HOST, (b"transfer-encoding", b"Chunked"), method=b"POST"),
        head(version="1.0"),
        head(LENGTH, version="1.0"),
    ],
)
def test_what_can_be_served(request_: RequestHead) -> None:
    request_.check(0)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (head(), 400),
        (head((b"host", b"a b")), 400),
        (head((b"host", b"a b"), version="1.0"), 400),
        (head(HOST, CODING, LENGTH), 400),
        (head(HOST, CODING, version="1.0"), 400),
        (head(HOST, CODING, CODING), 501),
        (head(HOST, (b"transfer-encoding", b"gzip, chunked")), 501),
        (head(HOST, method=b"CONNECT"), 501),
        (head(HOST, version="0.9"), 505),
        (head(HOST, version="2.0"), 505),
    ],
)
def test_what_can_not_be_served(request_: RequestHead, status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        request_.check(0)
    assert refused.value.status == status


def test_two_hosts() -> None:
    with pytest.raises(RefusedError):
        head(HOST, HOST)


def test_a_head_has_a_size() -> None:
    long = head(HOST, (b"x", b"y" * 100))
    long.check(1 + 4 + 4 + 4 + 1 + 100 + 4)
    with pytest.raises(RefusedError) as refused:
        long.check(1 + 4 + 4 + 4 + 1 + 100 + 3)
    assert refused.value.status == 431


@pytest.mark.parametrize(
    ("request_", "granted"),
    [
        (head(HOST, (b"upgrade", b"WebSocket")), True),
        (head(HOST, (b"upgrade", b"websocket"), method=b"POST"), False),
        (head(HOST, (b"upgrade", b"websocket"), version="1.0"), False),
        (head(HOST, (b"upgrade", b"h2c")), False),
        (head(HOST), False),
    ],
)
def test_who_asks_for_websocket(request_: RequestHead, granted: bool) -> None:
    assert request_.is_for_websocket is granted


@pytest.mark.parametrize("framing", [LENGTH, CODING])
def test_a_websocket_has_no_body(framing: tuple[bytes, bytes]) -> None:
    with pytest.raises(RefusedError):
        _ = head(HOST, (b"upgrade", b"websocket"), framing).is_for_websocket


def test_bytes_for_another_parser() -> None:
    assert head(HOST, (b"x", b"y"), url=b"/a?b").as_bytes() == b"GET /a?b HTTP/1.1\r\nhost: test\r\nx: y\r\n\r\n"
    assert head(HOST, LENGTH).of_body() == b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n"
    assert head(HOST, CODING).of_body() == b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"


def test_the_scope_has_a_state_of_its_own() -> None:
    state = {"a": 1}
    scope = head(HOST, url=b"/%C3%A9?q=%20").scope("http", None, None, state)
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/é", b"/%C3%A9", b"q=%20")
    scope["state"]["a"] = 2
    assert state == {"a": 1}


def test_no_scope_for_what_is_no_target() -> None:
    with pytest.raises(RefusedError):
        head(HOST, url=b"/a#b").scope("http", None, None, {})


# Responses

DATE, SERVER = b"date: now\r\n", b"server: corepod\r\n"


def answer(
    *headers: Any, status: Any = 200, method: bytes = b"GET", version: str = "1.1", keep: bool = True
) -> tuple[list[bytes], int, bool]:
    message = {"type": "http.response.start", "status": status, "headers": headers}
    data, left, keep = response_head(message, method, version, keep, DATE, SERVER)
    assert data.endswith(b"\r\n\r\n")
    return data.split(b"\r\n")[:-2], left, keep


CLOSE = b"connection: close"


@pytest.mark.parametrize(
    ("changed", "lines", "left", "keep"),
    [
        ({}, [b"transfer-encoding: chunked"], CHUNKED, True),
        ({"version": "1.0"}, [CLOSE], BY_CLOSING, False),
        ({"method": b"HEAD"}, [], ABSENT, True),
        ({"status": 204}, [], ABSENT, True),
        ({"status": 304}, [], ABSENT, True),
        ({"keep": False}, [b"transfer-encoding: chunked", CLOSE], CHUNKED, False),
    ],
)
def test_how_a_body_without_a_length_ends(changed: Any, lines: list[bytes], left: int, keep: bool) -> None:
    head, *rest = answer(**changed)
    assert [line for line in head[1:] if line + b"\r\n" not in (DATE, SERVER)] == lines
    assert rest == [left, keep]


@pytest.mark.parametrize(
    ("changed", "left", "sent"),
    [({}, 3, True), ({"method": b"HEAD"}, ABSENT, True), ({"status": 304}, ABSENT, True), ({"status": 204}, ABSENT, 0)],
)
def test_a_length(changed: Any, left: int, sent: bool) -> None:
    head, found, _ = answer((b"Content-Length", b"3"), **changed)
    assert found == left
    assert (b"content-length: 3" in head) == sent


def test_what_is_the_servers_is_said_once() -> None:
    head, _, keep = answer((b"Date", b"then"), (b"server", b"mine"), (b"Connection", b"close"), *[CODING] * 2)
    assert head == [b"HTTP/1.1 200 OK", b"date: then", b"server: mine", b"transfer-encoding: chunked", CLOSE]
    assert not keep


@pytest.mark.parametrize(
    "header",
    [
        (b"a b", b"c"),
        (b"", b"c"),
        (b"a:", b"c"),
        (b"a\r\nb", b"c"),
        (b"a", b"b\r\nc: d"),
        (b"a", b"b\nc"),
        (b"a", b"b\rc"),
        (b"a", b"b\0"),
        ("a", b"b"),
        (b"a", "b"),
        (b"a", None),
        (bytearray(b"a"), b"b"),
        (b"content-length", "3"),
        (b"content-length", b"-1"),
        (b"content-length", b"1, 1"),
        (b"content-length", b""),
        (b"a",),
    ],
)
def test_headers_that_can_not_be_sent(header: Any) -> None:
    answer((b"good", b"one"))
    with pytest.raises((TypeError, ValueError)):
        answer(header)


@pytest.mark.parametrize("status", [None, "200", 99, 101, 1000, 200.0])
def test_statuses_that_can_not_be_sent(status: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        answer(status=status)


def test_reason_phrases() -> None:
    assert answer(status=299)[0][0] == b"HTTP/1.1 299 "
    message = {"status": 200, REASON: b"Fine"}
    assert response_head(message, b"GET", "1.1", True, DATE, b"")[0].startswith(b"HTTP/1.1 200 Fine\r\n")
    with pytest.raises(ValueError, match="line break"):
        response_head({"status": 200, REASON: b"Fine\r\nX: y"}, b"GET", "1.1", True, DATE, b"")


def test_a_refusal_is_a_whole_response() -> None:
    assert refusal(408, DATE, b"", b"late").split(b"\r\n") == [
        b"HTTP/1.1 408 Request Timeout",
        b"content-length: 4",
        b"content-type: text/plain; charset=utf-8",
        CLOSE,
        b"date: now",
        b"",
        b"late",
    ]
