"""Several requests on a connection, which of them is the last, expectations, upgrades, and requests that never end
(RFC 9112, 8 and 9; RFC 9110, 7 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.conformance.case import Request, either, refuses, serves
from loadtest.conformance.corpus.parts import ABC, CHUNKED, HOST, LAST, SMUGGLED, chunked, get, got, head, post, posted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.case import Case

HEAD = head(b"HEAD /first HTTP/1.1", HOST)
POST = post(b"Content-Length: 3", body=b"abc")
CUT = (0, 400, 408)


def cases() -> Iterator[Case]:
    yield from _pipelines()
    yield from _last()
    yield from _http_1_0()
    yield from _expectations()
    yield from _upgrades()
    yield from _cut()


def _pipelines() -> Iterator[Case]:
    yield serves("pipeline: two", "9112 9.3.2", get() * 2, got(), got())
    yield serves("pipeline: fifty", "9112 9.3.2", get() * 50, *[got()] * 50)
    yield serves("pipeline: a body, then none", "9112 9.3.2", POST + get(), posted(b"abc"), got())
    yield serves("pipeline: chunks, then none", "9112 9.3.2", chunked(ABC + LAST) + get(), posted(b"abc"), got())
    yield serves(
        "pipeline: trailers, then none",
        "9112 9.3.2",
        chunked(ABC + b"0\r\nX: y\r\n\r\n") + get(),
        posted(b"abc"),
        got(),
    )
    yield serves("pipeline: HEAD, then GET", "9112 9.3.2", HEAD + get(), Request("HEAD", "/first"), got())
    yield serves(
        "pipeline: chunks, a length, chunks",
        "9112 9.3.2",
        chunked(ABC + LAST) + POST + chunked(LAST),
        posted(b"abc"),
        posted(b"abc"),
        posted(),
    )
    for name, bad in (
        ("a request that is none", b"nonsense\r\n\r\n"),
        ("one without Host", head(b"GET /second HTTP/1.1")),
        ("one with two lengths", post(b"Content-Length: 3", b"Content-Length: 4", body=b"abc")),
        ("one with a bad chunk", chunked(b"x\r\nabc\r\n" + LAST)),
    ):
        yield refuses(f"pipeline: behind a good request {name}", "9112 9.3.2", get() + bad, 400, 501, after=(got(),))
    yield refuses("pipeline: behind a bad request a good one", "9112 9.3.2", head(b"GET /bad HTTP/1.1") + SMUGGLED)
    yield refuses("more data than a length", "9112 6.3", POST + b"def\r\n\r\n", 400, 501, after=(posted(b"abc"),))


def _last() -> Iterator[Case]:
    for value in (
        b"close",
        b"Close",
        b"CLOSE",
        b" close ",
        b"keep-alive, close",
        b"close, keep-alive",
        b"x, close",
        b"close,",
        b",close",
    ):
        yield serves(f"Connection: {value.decode()}", "9112 9.3", get(b"Connection: " + value), got(), stays=False)
    yield serves(
        "Connection on two lines, the second says close",
        "9112 9.3",
        get(b"Connection: x", b"Connection: close"),
        got(),
        stays=False,
    )
    for value in (b"keep-alive", b"x", b"closed", b"not-close", b"X-Close", b""):
        yield serves(f"Connection: {value.decode() or 'nothing'}", "9112 9.3", get(b"Connection: " + value), got())
    yield serves("Proxy-Connection means nothing", "9112 9.3", get(b"Proxy-Connection: close"), got(), stays=None)
    yield serves("Keep-Alive means nothing", "9112 9.3", get(b"Keep-Alive: timeout=0, max=0"), got())
    yield serves("a request behind the last", "9112 9.6", get(b"Connection: close") + SMUGGLED, got(), stays=False)
    yield serves(
        "garbage behind the last", "9112 9.6", get(b"Connection: close") + b"\0\0nonsense\r\n\r\n", got(), stays=False
    )
    yield serves(
        "bytes behind the last body",
        "9112 9.6",
        post(b"Connection: close", b"Content-Length: 3", body=b"abcdef"),
        posted(b"abc"),
        stays=False,
    )
    yield serves(
        "bytes behind the last chunk",
        "9112 9.6",
        chunked(ABC + LAST + b"abc", b"Connection: close"),
        posted(b"abc"),
        stays=False,
    )
    yield serves(
        "an empty line behind the last body",
        "9112 9.6",
        post(b"Connection: close", b"Content-Length: 3", body=b"abc\r\n"),
        posted(b"abc"),
        stays=False,
    )
    yield serves(
        "the last of three", "9112 9.6", get() * 2 + get(b"Connection: close"), got(), got(), got(), stays=False
    )


def _http_1_0() -> Iterator[Case]:
    old = b"GET /first HTTP/1.0"
    yield serves("HTTP/1.0", "9112 9.3", head(old), got(), stays=False)
    yield serves("HTTP/1.0 with Host", "9112 9.3", head(old, HOST), got(), stays=False)
    yield serves("HTTP/1.0 that would stay", "9112 9.3", head(old, HOST, b"Connection: keep-alive"), got(), stays=None)
    yield serves(
        "HTTP/1.0 that says both", "9112 9.3", head(old, HOST, b"Connection: keep-alive, close"), got(), stays=False
    )
    yield serves("HTTP/1.0 with a query", "9112 9.3", head(b"GET /first?a=b HTTP/1.0"), got(query="a=b"), stays=False)
    yield serves("HTTP/1.0, HEAD", "9112 9.3", head(b"HEAD /first HTTP/1.0"), Request("HEAD", "/first"), stays=False)
    yield serves("HTTP/1.0 and a request behind it", "9112 9.3", head(old) + SMUGGLED, got(), stays=False)


def _expectations() -> Iterator[Case]:
    body = b"Content-Length: 3"
    yield serves(
        "100-continue with its body", "9110 10.1.1", post(body, b"Expect: 100-continue", body=b"abc"), posted(b"abc")
    )
    yield serves(
        "100-continue in capitals", "9110 10.1.1", post(body, b"EXPECT: 100-CONTINUE", body=b"abc"), posted(b"abc")
    )
    yield serves(
        "100-continue with chunks", "9110 10.1.1", chunked(ABC + LAST, b"Expect: 100-continue"), posted(b"abc")
    )
    yield serves("100-continue without a body", "9110 10.1.1", get(b"Expect: 100-continue"), got())
    old = head(b"POST /first HTTP/1.0", HOST, body, b"Expect: 100-continue") + b"abc"
    yield serves("100-continue in HTTP/1.0 is ignored", "9110 10.1.1", old, posted(b"abc"), stays=False)
    yield either(
        "another expectation",
        "9110 10.1.1",
        post(body, b"Expect: miracles", body=b"abc"),
        posted(b"abc"),
        statuses=(417,),
    )


def _upgrades() -> Iterator[Case]:
    upgrade = (b"Connection: Upgrade", b"Upgrade: foo/1")
    yield serves("an upgrade to something unknown", "9110 7.8", get(*upgrade), got())
    yield serves(
        "an upgrade to something unknown, with a body",
        "9110 7.8",
        post(*upgrade, b"Content-Length: 3", body=b"abc"),
        posted(b"abc"),
    )
    yield serves(
        "an upgrade to something unknown, with chunks", "9110 7.8", chunked(ABC + LAST, *upgrade), posted(b"abc")
    )
    yield serves("an upgrade to something unknown, twice", "9110 7.8", get(*upgrade) * 2, got(), got())
    yield serves("Upgrade that Connection doesn't name", "9110 7.8", get(b"Upgrade: foo/1"), got())
    yield serves("Connection that names an Upgrade that isn't there", "9110 7.8", get(b"Connection: Upgrade"), got())
    yield serves(
        "an upgrade in HTTP/1.0 is ignored",
        "9110 7.8",
        head(b"GET /first HTTP/1.0", HOST, *upgrade),
        got(),
        stays=False,
    )
    yield serves(
        "an upgrade of the last request",
        "9110 7.8",
        get(b"Connection: close, Upgrade", b"Upgrade: foo/1"),
        got(),
        stays=False,
    )


def _cut() -> Iterator[Case]:
    """The client closes its half in the middle: what isn't whole is never served."""
    yield serves("a whole request, and the end", "9112 9.6", get(), got(), end=True)
    yield serves("a whole body, and the end", "9112 9.6", POST, posted(b"abc"), end=True)
    for name, data in (
        ("half a request line", b"GET /fir"),
        ("half a head", b"GET /first HTTP/1.1\r\nHost: te"),
        ("a head without an empty line", b"GET /first HTTP/1.1\r\nHost: test\r\n"),
        ("half a body", post(b"Content-Length: 6", body=b"abc")),
        ("no body", post(b"Content-Length: 6")),
        ("half a chunk", chunked(b"6\r\nabc")),
        ("a chunk without its end", chunked(b"3\r\nabc")),
        ("no last chunk", chunked(ABC)),
        ("half a last chunk", chunked(ABC + b"0\r\n")),
        ("half a trailer", chunked(ABC + b"0\r\nX: y")),
        ("a trailer without an empty line", chunked(ABC + b"0\r\nX: y\r\n")),
        ("half a chunk size", post(CHUNKED, body=b"3")),
    ):
        yield refuses(f"cut: {name}", "9112 8", data, *CUT, end=True)
    yield refuses("cut: half a second request", "9112 8", get() + b"GET /sec", *CUT, after=(got(),), end=True)
