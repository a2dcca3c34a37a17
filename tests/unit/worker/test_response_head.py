"""Heads of responses. What comes of a bad one on the wire is in server/test_details.py."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from corepod.worker.response_head import REASON, check_headers, check_status, reason_phrase


def test_reason_phrases() -> None:
    assert reason_phrase({"status": 404}) == b"Not Found"
    assert reason_phrase({"status": 799}) == b""
    assert reason_phrase({"status": 404, REASON: b"Nope"}) == b"Nope"
    assert reason_phrase({"status": 404, REASON: b""}) == b"Not Found"
    for end in (b"\r", b"\n", b"\0"):
        with pytest.raises(ValueError, match="line break"):
            reason_phrase({"status": 404, REASON: b"a" + end})


def test_status() -> None:
    assert [check_status(status) for status in (200, HTTPStatus.IM_A_TEAPOT, 599, 999)] == [200, 418, 599, 999]
    assert type(check_status(HTTPStatus.OK)) is int
    for number in (-1, 0, 100, 101, 199, 1000):
        with pytest.raises(ValueError, match="between 200 and 999"):
            check_status(number)
    for other in ("200", b"200", None, 200.0):
        with pytest.raises(TypeError, match="has to be a number"):
            check_status(other)


def test_headers() -> None:
    headers = [(b"X-Mixed", b" a\t"), (b"content-length", b"5"), (b"x-mixed", b"b\x01\xe4"), (b"Content-Length", b"5")]
    expected = [(b"x-mixed", b"a"), (b"content-length", b"5"), (b"x-mixed", b"b\x01\xe4")]
    assert check_headers(200, headers) == check_headers(304, iter(headers)) == expected
    assert check_headers(204, headers) == [expected[0], expected[2]]
    assert check_headers(200, [(b"Transfer-Encoding", b"chunked")]) == []


def test_errors_name_the_header() -> None:
    with pytest.raises(TypeError, match="'x-a': b'b'"):
        check_headers(200, [("x-a", b"b")])
    with pytest.raises(ValueError, match="'x a'"):
        check_headers(200, [(b"x a", b"b")])
    with pytest.raises(ValueError, match="'x-a' contains a line break"):
        check_headers(200, [(b"x-a", b"b\nc")])
    with pytest.raises(ValueError, match="content-length b'6'"):
        check_headers(200, [(b"content-length", b"5"), (b"content-length", b"6")])
