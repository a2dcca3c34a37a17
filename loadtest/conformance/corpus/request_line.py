"""Request lines: methods, targets, versions, and what stands before them (RFC 9112, 2 and 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.conformance.case import Request, either, refuses, serves
from loadtest.conformance.corpus.parts import HOST, get, got, head, post, posted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.case import Case

UNKNOWN_METHOD = (400, 405, 501)
VERSION = (400, 505)
# A line without form may be read as one whose method nobody knows.
LINE = (400, 501, 505)


def cases() -> Iterator[Case]:
    yield from _methods()
    yield from _targets()
    yield from _absolute_targets()
    yield from _bad_targets()
    yield from _versions()
    yield from _lines()


def _methods() -> Iterator[Case]:
    for method in ("GET", "HEAD", "DELETE", "OPTIONS", "PATCH", "PUT", "TRACE"):
        line = b"%b /first HTTP/1.1" % method.encode()
        statuses = (405, 501)  # an application's decision, but RFC 9110, 9.1 lets a server know GET and HEAD alone
        if method in ("GET", "HEAD"):
            yield serves(f"method {method}", "9110 9.3", head(line, HOST), Request(method, "/first"))
        else:
            yield either(f"method {method}", "9110 9.3", head(line, HOST), Request(method, "/first"), statuses=statuses)
    unknown = ("BREW", "get", "Get", "M-SEARCH", "!#$%&'*+-.^_`|~9", "GETX", "A" * 3000)
    for method in unknown:
        yield either(
            f"method {method[:20]}",
            "9110 9.1",
            head(b"%b /first HTTP/1.1" % method.encode(), HOST),
            Request(method, "/first"),
            statuses=(*UNKNOWN_METHOD, 414, 431),
        )
    for bad in (b"G@T", b"GE(T)", b"G\0T", b"G\xc3\x89T", b"G\x7fT", b'"GET"', b"GET:", b"{GET}"):
        yield refuses(f"method {bad!r}", "9110 9.1", head(bad + b" /first HTTP/1.1", HOST), *UNKNOWN_METHOD)
    yield refuses("CONNECT to an origin server", "9110 9.3.6", head(b"CONNECT test:80 HTTP/1.1", HOST), 400, 405, 501)
    yield refuses("CONNECT with a path", "9112 3.2.3", head(b"CONNECT /first HTTP/1.1", HOST), 400, 405, 501)


def _targets() -> Iterator[Case]:
    for name, path, query in (
        ("a path", "/first", ""),
        ("nothing but a slash", "/", ""),
        ("a query", "/first", "a=b&c=d"),
        ("a query with a question mark and slashes", "/first", "a=?/b??"),
        ("an escaped space", "/a%20b", ""),
        ("an escaped slash", "/a%2Fb", ""),
        ("an escaped query mark", "/a%3Fb", "c"),
        ("two slashes first", "//first", ""),
        ("dots", "/a/../b/./c", ""),
        ("every other character of a path", "/-._~!$&'()*+,;=:@", ""),
        ("a parameter", "/first;a=b;c", ""),
        ("8000 bytes", "/" + "a" * 7999, ""),
    ):
        target = path + ("?" + query if query else "")
        yield serves(f"target: {name}", "9112 3.2.1", get(target=target.encode()), got(path, query=query))
    yield serves("target: an empty query", "9112 3.2.1", get(target=b"/first?"), got())
    yield either("target: an escaped NUL", "3986 7.3", get(target=b"/a%00b"), got("/a%00b"))
    everything = Request("OPTIONS", None)
    yield either(
        "target: an asterisk", "9112 3.2.4", head(b"OPTIONS * HTTP/1.1", HOST), everything, statuses=(405, 501)
    )


def _absolute_targets() -> Iterator[Case]:
    for name, target, request in (
        ("of this server", b"http://test/first?a=b", got(query="a=b", host="test")),
        ("whose host counts, not the header's", b"http://example.com/first", got(host="example.com")),
        ("with a port", b"http://example.com:8080/first", got(host="example.com:8080")),
        ("without a path", b"http://example.com", got("/", host="example.com")),
        ("with a query but no path", b"http://example.com?a=b", got("/", query="a=b", host="example.com")),
        ("with a scheme in capitals", b"HTTP://example.com/first", got(host="example.com")),
        ("with an IPv6 address", b"http://[::1]:80/first", got(host="[::1]:80")),
    ):
        yield serves(f"absolute target {name}", "9112 3.2.2", get(target=target), request)
    yield refuses("absolute target without Host", "9112 3.2", head(b"GET http://test/first HTTP/1.1"))
    yield serves(
        "absolute target without Host in HTTP/1.0", "9112 3.2.2", head(b"GET http://test/first HTTP/1.0"), got(),
        stays=False,
    )  # fmt: skip
    yield refuses("absolute target with an empty host", "9110 4.2.1", get(target=b"http:///first"))
    yield refuses("absolute target with an empty host and a port", "9110 4.2.1", get(target=b"http://:80/first"))
    yield either("absolute target with user information", "9110 4.2.4", get(target=b"http://me@test/first"), got())
    yield either("absolute target of another scheme", "9112 3.2.2", get(target=b"ftp://test/first"), got())


def _bad_targets() -> Iterator[Case]:
    for name, target in (
        ("no slash", b"first"),
        ("a query alone", b"?a=b"),
        ("an asterisk with GET", b"*"),
        ("an authority with GET", b"test:80"),
        ("two words", b"/first /second"),
        ("NUL", b"/fi\0rst"),
        ("a control character", b"/fi\x01rst"),
        ("DEL", b"/fi\x7frst"),
        ("CR", b"/fi\rrst"),
        ("a tab", b"/fi\trst"),
        ("a byte of Latin-1", b"/fi\xffrst"),
        ("bytes of UTF-8", b"/fi\xc3\xa9rst"),
        ("NUL in the query", b"/first?a\0b"),
        ("a byte of Latin-1 in the query", b"/first?a\xff"),
    ):
        yield refuses(f"bad target: {name}", "9112 3.2", get(target=target))
    for name, target in (
        ("a fragment", b"/first#a"),
        ("a quote", b'/fi"rst'),
        ("angle brackets", b"/<first>"),
        ("a backslash", b"/fi\\rst"),
        ("braces", b"/{first}"),
        ("a percent sign alone", b"/first%"),
        ("a percent sign before no number", b"/first%zz"),
    ):
        yield either(f"odd target: {name}", "3986 3.3", get(target=target), got(None))
    yield either(
        "a target of 100 000 bytes", "9112 3", get(target=b"/" + b"a" * 100_000), got(None), statuses=(400, 414, 431)
    )


def _versions() -> Iterator[Case]:
    for version in (
        b"HTTP/0.9", b"HTTP/2.0", b"HTTP/3.0", b"HTTP/9.9", b"HTTP/1", b"HTTP/1.", b"HTTP/.1", b"HTTP/1.10",
        b"HTTP/11.1", b"HTTP/01.1", b"HTTP/1.01", b"HTTP/-1.1", b"HTTP/+1.1", b"HTTP/1,1", b"HTTP/1.1x",
        b"HTTP/1.1.1", b"HTTP/a.b", b"http/1.1", b"Http/1.1", b"HTTP1.1", b"HTTP /1.1", b"HTTP/ 1.1", b"HTTP/1 .1",
        b"HTTQ/1.1", b"XHTTP/1.1", b"HTTPS/1.1", b"RTSP/1.0", b"ICE/1.0", b"HTTP/1.\xb2", b"HTTP/1.\x001", b"1.1",
        b"HTTP",
    ):  # fmt: skip
        yield refuses(f"version {version!r}", "9112 2.3", head(b"GET /first " + version, HOST), *VERSION)
    yield either("version HTTP/1.2", "9110 2.5", head(b"GET /first HTTP/1.2", HOST), got(), statuses=VERSION)
    yield refuses("no version", "9112 3", head(b"GET /first", HOST), *VERSION)


def _lines() -> Iterator[Case]:
    first = get()
    yield serves("an empty line before the request", "9112 2.2", b"\r\n" + first, got())
    yield serves(
        "an empty line behind a body",
        "9112 2.2",
        post(b"Content-Length: 3", body=b"abc\r\n") + first,
        posted(b"abc"),
        got(),
    )
    yield either("five empty lines before the request", "9112 2.2", b"\r\n" * 5 + first, got())
    yield either("a bare LF before the request", "9112 2.2", b"\n" + first, got())
    yield either("a bare CR before the request", "9112 2.2", b"\r" + first, got())
    yield refuses("a space before the request", "9112 3", b" \r\n" + first)
    yield either("a space before the method", "9112 3", b" " + first, got())
    for name, line in (
        ("two spaces behind the method", b"GET  /first HTTP/1.1"),
        ("two spaces before the version", b"GET /first  HTTP/1.1"),
        ("a tab behind the method", b"GET\t/first HTTP/1.1"),
        ("a tab before the version", b"GET /first\tHTTP/1.1"),
        ("a space behind the version", b"GET /first HTTP/1.1 "),
        ("a CR behind the version", b"GET /first HTTP/1.1\r"),
    ):
        yield either(f"request line: {name}", "9112 3", head(line, HOST), got(), statuses=LINE)
    for name, line in (
        ("a method alone", b"GET"),
        ("no target", b"GET HTTP/1.1"),
        ("no target, two spaces", b"GET  HTTP/1.1"),
        ("no method", b"/first HTTP/1.1"),
        ("a comma for a space", b"GET,/first,HTTP/1.1"),
        ("a word too many", b"GET /first HTTP/1.1 now"),
        ("a status line", b"HTTP/1.1 200 OK"),
        ("a header line", b"Accept: text/html"),
    ):
        yield refuses(f"request line: {name}", "9112 3", head(line, HOST), *LINE)
    yield either("lines that end with LF", "9112 2.2", b"GET /first HTTP/1.1\nHost: test\n\n", got())
    yield either("one line that ends with LF", "9112 2.2", b"GET /first HTTP/1.1\r\nHost: test\nX: y\r\n\r\n", got())
    yield either("an empty line that ends with LF", "9112 2.2", b"GET /first HTTP/1.1\r\nHost: test\r\n\n", got())
    yield refuses("lines that end with CR", "9112 2.2", b"GET /first HTTP/1.1\rHost: test\r\r")
    yield refuses("a request line that ends with CR", "9112 2.2", b"GET /first HTTP/1.1\rHost: test\r\n\r\n")
    yield refuses(
        "a greeting of TLS", "9112 3", b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03" + b"r" * 193, 400, 505, 0
    )
    yield refuses("NULs", "9112 3", b"\0" * 64, 400, 505, 0)
    yield refuses("a command of another protocol", "9112 3", b"EHLO test\r\n\r\n", *LINE)
