"""Where a body ends: Content-Length and Transfer-Encoding (RFC 9112, 6). Whatever two servers in a row could read
differently is refused, or read in the one way that the RFC allows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from loadtest.conformance.case import Request, either, refuses, serves
from loadtest.conformance.corpus.parts import ABC, CHUNKED, HOST, LAST, SMUGGLED, chunked, head, post, posted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.case import Case

CODING = (400, 501)


def cases() -> Iterator[Case]:
    yield from _lengths()
    yield from _bad_lengths()
    yield from _codings()
    yield from _both()


def _lengths() -> Iterator[Case]:
    for name, line, body in (
        ("0", b"Content-Length: 0", b""),
        ("3", b"Content-Length: 3", b"abc"),
        ("zeros before it", b"Content-Length: 0003", b"abc"),
        ("no space", b"Content-Length:3", b"abc"),
        ("blanks around it", b"Content-Length: \t3 \t", b"abc"),
        ("a name in any case", b"cOnTeNt-LeNgTh: 3", b"abc"),
        ("a body of every byte", b"Content-Length: 256", bytes(range(256))),
        ("100 000", b"Content-Length: 100000", b"x" * 100_000),
        ("a request as a body", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
        ("empty lines as a body", b"Content-Length: 4", b"\r\n\r\n"),
    ):
        yield serves(f"length: {name}", "9112 6.2", post(line, body=body), posted(body))
    yield serves("length: none is 0", "9112 6.3", post(), posted())
    for method in ("GET", "DELETE", "OPTIONS"):
        data = head(b"%b /first HTTP/1.1" % method.encode(), HOST, b"Content-Length: 3") + b"abc"
        yield either(
            f"length: {method} with a body",
            "9110 9.3",
            data,
            Request(method, "/first", b"abc"),
            statuses=(400, 405, 501),
        )
    yield serves(
        "length: in HTTP/1.0",
        "9112 6.3",
        head(b"POST /first HTTP/1.0", b"Content-Length: 3") + b"abc",
        posted(b"abc"),
        stays=False,
    )
    yield serves(
        "length: a field that is called almost so",
        "9112 6.2",
        post(b"Content_Length: 5", b"X-Content-Length: 5", b"Content-Lengt: 5"),
        posted(),
    )
    yield either(
        "length: the same twice",
        "9112 6.3",
        post(b"Content-Length: 3", b"Content-Length: 3", body=b"abc"),
        posted(b"abc"),
    )
    yield either(
        "length: the same twice on a line", "9112 6.3", post(b"Content-Length: 3, 3", body=b"abc"), posted(b"abc")
    )


def _bad_lengths() -> Iterator[Case]:
    for value in (
        b"", b" ", b"+3", b"-3", b"-0", b"3_0", b"0x3", b"0b1", b"3.0", b"3e0", b"3 0", b"3\t0", b"abc", b"3;a",
        b"3a", b"a3", b'"3"', b"3\0", b"\x0b3", b"3\x0c", b"\xd9\xa3", b"\xb3", b"3, 4", b"3,4", b"4, 3", b"3,",
        b",3", b"3 3", b"NaN", b"Infinity", b"3/1",
    ):  # fmt: skip
        commas = (b"3,", b",3")  # an element of a list may be empty (RFC 9110, 5.6.1)
        data = post(b"Content-Length: " + value, body=b"abc")
        if value in commas:
            yield either(f"bad length: {value.decode()}", "9110 8.6", data, posted(b"abc"))
        else:
            yield refuses(f"bad length: {value!r}", "9112 6.3", data + SMUGGLED, 400, 413)
    # A length is a number of any size. Who has room for it waits for the data, and the end comes first.
    for value in (b"18446744073709551619", b"9" * 30, b"1" + b"0" * 400):
        data = post(b"Content-Length: " + value, body=b"abc")
        yield refuses(
            f"length of {len(value)} digits: {value[:20].decode()}", "9112 6.3", data, 400, 408, 413, 431, 0, end=True
        )
    for name, lines in (
        ("two", (b"Content-Length: 3", b"Content-Length: 4")),
        ("two, the other way round", (b"Content-Length: 4", b"Content-Length: 3")),
        ("0 and another", (b"Content-Length: 0", b"Content-Length: 41")),
        ("one that is none beside it", (b"Content-Length: 3", b"Content-Length: x")),
        ("two that mean the same", (b"Content-Length: 3", b"Content-Length: 03")),
        ("two in different case", (b"content-length: 3", b"CONTENT-LENGTH: 4")),
        ("a space before the colon", (b"Content-Length : 3",)),
        ("a tab before the colon", (b"Content-Length\t: 3",)),
    ):
        if name == "two that mean the same":
            yield either(f"bad length: {name}", "9112 6.3", post(*lines, body=b"abc"), posted(b"abc"))
        else:
            yield refuses(f"bad length: {name}", "9112 6.3", post(*lines, body=b"abc") + SMUGGLED)


def _codings() -> Iterator[Case]:
    for name, line in (
        ("chunked", b"Transfer-Encoding: chunked"),
        ("in capitals", b"TRANSFER-ENCODING: CHUNKED"),
        ("no space", b"Transfer-Encoding:chunked"),
        ("blanks around it", b"Transfer-Encoding: \t chunked \t"),
    ):
        yield serves(f"coding: {name}", "9112 6.1", post(line, body=ABC + LAST), posted(b"abc"))
    for name, value in (
        ("a comma before it", b", chunked"),
        ("a comma behind it", b"chunked,"),
        # Where they are replaced by spaces instead of refused (RFC 9110, 5.5), it is the coding that is left.
        ("NUL before it", b"\0chunked"),
        ("NUL behind it", b"chunked\0"),
        ("CR before it", b"\rchunked"),
        ("CR behind it", b"chunked\r"),
    ):
        yield either(
            f"coding: {name}",
            "9110 5.6.1",
            post(b"Transfer-Encoding: " + value, body=ABC + LAST),
            posted(b"abc"),
            statuses=CODING,
        )
    for value in (
        b"", b"identity", b"gzip", b"xchunked", b"chunkedx", b"x-chunked", b"chunked chunked", b"chun ked",
        b"chunked;a=b", b'"chunked"', b"'chunked'", b"chunked, identity", b"identity, chunked", b"chunked, gzip",
        b"gzip, chunked", b"deflate, gzip, chunked", b"chunked, chunked", b"chunked,chunked", b"chunked, x",
        b"\x0bchunked", b"chunked\x0b", b"\x0cchunked", b"chunked\x7f",
        b"\xa0chunked", b"chunke\xc4\x91", b"[chunked]", b"chunked/1", b"none", b"0",
    ):  # fmt: skip
        yield refuses(
            f"bad coding: {value!r}", "9112 6.1", post(b"Transfer-Encoding: " + value, body=LAST) + SMUGGLED, *CODING
        )
    for name, lines in (
        ("chunked on two lines", (CHUNKED, CHUNKED)),
        ("chunked and identity on two lines", (CHUNKED, b"Transfer-Encoding: identity")),
        ("identity and chunked on two lines", (b"Transfer-Encoding: identity", CHUNKED)),
        ("gzip and chunked on two lines", (b"Transfer-Encoding: gzip", CHUNKED)),
        ("a space before the colon", (b"Transfer-Encoding : chunked",)),
        ("a tab before the colon", (b"Transfer-Encoding\t: chunked",)),
        ("a space before the name", (b"X: y", b" Transfer-Encoding: chunked")),
    ):
        case = refuses(f"bad coding: {name}", "9112 6.1", post(*lines, body=LAST) + SMUGGLED, *CODING)
        if name == "a space before the name":
            # Folded into the field before it, so that it is no coding, and what follows no body.
            case = either(f"coding: {name}", "9112 5.2", post(*lines), posted())
        yield case
    yield serves(
        "coding: a field that is called almost so",
        "9112 6.1",
        post(b"Transfer_Encoding: chunked", b"X-Transfer-Encoding: chunked"),
        posted(),
    )
    yield serves("coding: TE", "9110 10.1.4", post(b"TE: trailers, chunked", b"Connection: TE"), posted())


def _both() -> Iterator[Case]:
    # Served, the coding counts, and the connection ends: whoever has sent this may be in front of another's requests.
    for name, lines in (
        ("length, then coding", (b"Content-Length: 3", CHUNKED)),
        ("coding, then length", (CHUNKED, b"Content-Length: 3")),
        ("coding and a length that fits", (CHUNKED, b"Content-Length: %d" % len(LAST))),
        ("coding and a length beyond it", (CHUNKED, b"Content-Length: 60")),
    ):
        case = either(f"both: {name}", "9112 6.3", post(*lines, body=LAST) + SMUGGLED, posted(), statuses=CODING)
        yield replace(case, stays=False)
    bad = post(b"Content-Length: x", CHUNKED, body=LAST)
    yield replace(either("both: coding and a length that is none", "9112 6.3", bad, posted()), stays=False)
    yield refuses(
        "both: an unknown coding and a length",
        "9112 6.1",
        post(b"Content-Length: 3", b"Transfer-Encoding: x", body=b"abc"),
        *CODING,
    )
    yield refuses(
        "both: identity and a length",
        "9112 6.1",
        post(b"Content-Length: 3", b"Transfer-Encoding: identity", body=b"abc"),
        *CODING,
    )
    old = head(b"POST /first HTTP/1.0", HOST, CHUNKED, b"Connection: keep-alive") + ABC + LAST
    yield replace(either("coding in HTTP/1.0", "9112 6.1", old, posted(b"abc"), statuses=(*CODING, 505)), stays=False)
    yield serves(
        "coding with GET",
        "9112 6",
        head(b"GET /first HTTP/1.1", HOST, CHUNKED) + ABC + LAST,
        Request("GET", "/first", b"abc"),
    )
    yield serves(
        "a request in chunks as a body",
        "9112 7.1",
        chunked(b"%x\r\n%b\r\n" % (len(SMUGGLED), SMUGGLED) + LAST),
        posted(SMUGGLED),
    )
