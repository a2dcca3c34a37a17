"""What the requests of the corpus are made of."""

from __future__ import annotations

from loadtest.conformance.case import Request

HOST = b"Host: test"
CHUNKED = b"Transfer-Encoding: chunked"
# A body that a server which ends the request too early takes for a request.
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n"
LAST = b"0\r\n\r\n"
ABC = b"3\r\nabc\r\n"


def head(*lines: bytes) -> bytes:
    return b"\r\n".join(lines) + b"\r\n\r\n"


def get(*fields: bytes, target: bytes = b"/first") -> bytes:
    """A GET with these header lines beside Host."""
    return head(b"GET %b HTTP/1.1" % target, HOST, *fields)


def post(*fields: bytes, body: bytes = b"") -> bytes:
    """A POST with these header lines beside Host; none of them says how long the body is unless it is one of them."""
    return head(b"POST /first HTTP/1.1", HOST, *fields) + body


def chunked(body: bytes, *fields: bytes) -> bytes:
    """A POST in chunks; `body` is what stands behind the head, framing and all."""
    return post(CHUNKED, *fields, body=body)


def got(path: str | None = "/first", *, query: str = "", **headers: str) -> Request:
    """A GET that the application is given, with these headers among others."""
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Request("GET", path, query=query, headers=named)


def posted(body: bytes = b"", *, path: str = "/first", absent: tuple[str, ...] = ()) -> Request:
    return Request("POST", path, body, absent=absent)
