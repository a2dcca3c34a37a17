"""Header fields: names, values, how lines are folded and bounded, and Host (RFC 9112, 3.2 and 5; RFC 9110, 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.conformance.case import Request, either, refuses, serves
from loadtest.conformance.corpus.parts import CHUNKED, HOST, LAST, get, got, head, posted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.case import Case

TOO_LARGE = (400, 413, 431)


def cases() -> Iterator[Case]:
    yield from _good()
    yield from _bad_names()
    yield from _bad_values()
    yield from _folded()
    yield from _large()
    yield from _hosts()


def _good() -> Iterator[Case]:
    for name, line, value in (
        ("no space behind the colon", b"X:y", "y"),
        ("spaces and tabs around the value", b"X: \t y \t ", "y"),
        ("an empty value", b"X:", ""),
        ("a value of blanks", b"X:   ", ""),
        ("blanks inside the value", b"X: a \t b", "a \t b"),
        ("a colon in the value", b"X: a:b: c", "a:b: c"),
        ("a quoted value", b'X: "a, \\"b\\""', '"a, \\"b\\""'),
        ("bytes of Latin-1", b"X: \xe9\xff", "\xe9\xff"),
        ("bytes of UTF-8", b"X: \xc3\xa9", "\xc3\xa9"),
        ("a value of 4000 bytes", b"X: " + b"a" * 4000, "a" * 4000),
    ):
        yield serves(f"field: {name}", "9112 5", get(line), got(x=value))
    yield serves("field: a name in any case", "9110 5.1", get(b"x-NaMe: y"), got(x_name="y"))
    yield serves("field: Host in any case", "9110 5.1", head(b"GET /first HTTP/1.1", b"hOsT: test"), got(host="test"))
    yield serves(
        "field: the same name twice",
        "9110 5.3",
        get(b"X: a", b"X: b"),
        Request("GET", "/first", headers=(("x", "a"), ("x", "b"))),
    )
    yield serves("field: every character of a name", "9110 5.6.2", get(b"!#$%&'*+-.^`|~09: y"), got())
    yield serves("field: an underscore in the name", "9110 5.6.2", get(b"X_Y: z"), got())
    yield serves("field: a name of 200 bytes", "9110 5.1", get(b"X" * 200 + b": y"), got())
    yield serves("field: 80 fields", "9110 5.4", get(*(b"X-%d: y" % number for number in range(80))), got(x_79="y"))
    yield serves("field: a date that is none", "9110 5.6.7", get(b"If-Modified-Since: yesterday"), got())
    yield serves("field: Host behind others", "9110 7.2", head(b"GET /first HTTP/1.1", b"X: y", HOST), got())


def _bad_names() -> Iterator[Case]:
    for name, line in (
        ("a space before the colon", b"X : y"),
        ("a tab before the colon", b"X\t: y"),
        ("a space inside", b"X Y: z"),
        ("nothing", b": y"),
        ("no colon", b"X"),
        ("NUL", b"X\0: y"),
        ("a control character", b"X\x01: y"),
        ("DEL", b"X\x7f: y"),
        ("a byte of Latin-1", b"X\xff: y"),
        ("bytes of UTF-8", b"X\xc3\xa9: y"),
        ("a CR", b"X\rY: z"),
        ("a vertical tab", b"X\x0b: y"),
        *((f"{char!r}", b"X" + bytes([ord(char)]) + b": y") for char in '()/<=>?@[\\]{}",;'),
    ):
        yield refuses(f"field name: {name}", "9112 5.1", get(line))
    yield refuses("field name: a space before Host", "9112 2.2", head(b"GET /first HTTP/1.1", b" Host: test"))
    yield either(
        "field name: a space before the first line", "9112 2.2", head(b"GET /first HTTP/1.1", b" X: y", HOST), got()
    )


def _bad_values() -> Iterator[Case]:
    # Refused, or the character replaced by a space: who passes it on lets the application take it for a line's end.
    for name, value, replaced in (
        ("NUL", b"a\0b", "a b"),
        ("NUL at its end", b"a\0", "a"),
        ("CR", b"a\rb", "a b"),
        ("CR and what looks like a field", b"a\rContent-Length: 5", "a Content-Length: 5"),
        ("CR first", b"\ra", "a"),
        ("CR before the end of the line", b"a\r", "a"),
    ):
        yield either(f"field value: {name}", "9110 5.5", get(b"X: " + value), got(x=replaced))
    # A recipient may keep them where that is safe.
    for code in (0x01, 0x08, 0x0B, 0x0C, 0x1B, 0x1F, 0x7F):
        yield either(
            f"field value: control character {code:#04x}", "9110 5.5", get(b"X: a" + bytes([code]) + b"b"), got()
        )


def _folded() -> Iterator[Case]:
    yield either("folded with a space", "9112 5.2", get(b"X: a\r\n b"), got())
    yield either("folded with a tab", "9112 5.2", get(b"X: a\r\n\tb"), got())
    yield either("folded twice", "9112 5.2", get(b"X: a\r\n b\r\n c"), got())
    yield either("folded what has no name", "9112 5.2", get(b"X: a\r\n : b"), got())
    yield either("folded with nothing behind the colon", "9112 5.2", get(b"X:\r\n b"), got())
    yield either("folded before a line of blanks", "9112 5.2", get(b"X: a\r\n \r\nY: z"), got(y="z"))
    yield either("folded what looks like a field", "9112 5.2", get(b"X: a\r\n Content-Length: 5"), got())
    yield either(
        "folded Transfer-Encoding",
        "9112 5.2",
        head(b"POST /first HTTP/1.1", HOST, b"Transfer-Encoding:\r\n chunked") + LAST,
        posted(),
        statuses=(400, 501),
    )
    yield either(
        "folded Content-Length",
        "9112 5.2",
        head(b"POST /first HTTP/1.1", HOST, b"Content-Length:\r\n 3") + b"abc",
        posted(b"abc"),
    )
    yield either("folded Host", "9112 5.2", head(b"GET /first HTTP/1.1", b"Host:\r\n test"), got())
    yield either(
        "folded behind chunked",
        "9112 5.2",
        head(b"POST /first HTTP/1.1", HOST, CHUNKED + b"\r\n ") + LAST,
        posted(),
        statuses=(400, 501),
    )


def _large() -> Iterator[Case]:
    yield either("a value of 20 000 bytes", "9110 5.4", get(b"X: " + b"a" * 20_000), got(), statuses=TOO_LARGE)
    yield either("a value of 200 000 bytes", "9110 5.4", get(b"X: " + b"a" * 200_000), got(), statuses=(*TOO_LARGE, 0))
    yield either("a name of 20 000 bytes", "9110 5.4", get(b"X" * 20_000 + b": y"), got(), statuses=TOO_LARGE)
    yield either(
        "5000 fields", "9110 5.4", get(*(b"X-%d: y" % number for number in range(5000))), got(), statuses=TOO_LARGE
    )
    yield either("many empty fields", "9110 5.4", get(*[b"X:"] * 3000), got(), statuses=TOO_LARGE)


def _hosts() -> Iterator[Case]:
    for host in (
        b"test:80",
        b"127.0.0.1",
        b"127.0.0.1:8000",
        b"[::1]",
        b"[2001:db8::1]:8000",
        b"my_host",
        b"a.b-c.example",
        b"xn--bcher-kva",
    ):
        yield serves(f"Host {host.decode()}", "9110 7.2", _host(host), got(host=host.decode()))
    for host in (b"", b"test:", b"a%20b", b"a!$&'()*+,;=b", b"[v1.a]", b"test:99999", b"test."):
        yield either(f"Host {host.decode() or 'empty'}", "9110 7.2", _host(host), got())
    for bad in (
        b"a b", b"a b/c", b"test/path", b"test?a", b"test#a", b"me@test", b"me:secret@test", b"test:port",
        b"test:80:80", b"::1", b"[::1", b"::1]", b"[::1]x", b"[test]", b"http://test", b"te\\st", b"<test>",
        b'"test"', b"te\x01st", b"te\0st", b"t\xe9st", b"te\tst", b"te^st", b"te|st", b"{test}", b"te%zzst",
        b"test:-80", b"test: 80",
    ):  # fmt: skip
        yield refuses(f"Host {bad!r}", "9112 3.2", _host(bad))
    yield refuses("no Host", "9112 3.2", head(b"GET /first HTTP/1.1", b"X: y"))
    yield refuses("two Hosts", "9112 3.2", get(b"Host: other"))
    yield refuses("the same Host twice", "9112 3.2", get(HOST))
    yield refuses("two Hosts in different case", "9112 3.2", get(b"HOST: other"))
    yield refuses("two Hosts in HTTP/1.0", "9112 3.2", head(b"GET /first HTTP/1.0", HOST, b"Host: other"))
    yield refuses("a bad Host in HTTP/1.0", "9112 3.2", head(b"GET /first HTTP/1.0", b"Host: a b"))


def _host(value: bytes) -> bytes:
    return head(b"GET /first HTTP/1.1", b"Host: " + value)
