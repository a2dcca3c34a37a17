"""Bodies in chunks: sizes, extensions, what ends each, and trailers (RFC 9112, 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtest.conformance.case import either, refuses, serves
from loadtest.conformance.corpus.parts import ABC, LAST, SMUGGLED, chunked, posted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.conformance.case import Case


def cases() -> Iterator[Case]:
    yield from _good()
    yield from _sizes()
    yield from _ends()
    yield from _extensions()
    yield from _trailers()


def _good() -> Iterator[Case]:
    ten = bytes(range(10))
    for name, body, whole in (
        ("none but the last", LAST, b""),
        ("one", ABC + LAST, b"abc"),
        ("three", ABC * 3 + LAST, b"abcabcabc"),
        ("a hundred of one byte", b"1\r\nx\r\n" * 100 + LAST, b"x" * 100),
        ("a size in small letters", b"a\r\n" + ten + b"\r\n" + LAST, ten),
        ("a size in capitals", b"A\r\n" + ten + b"\r\n" + LAST, ten),
        ("zeros before the size", b"0003\r\nabc\r\n" + LAST, b"abc"),
        ("a last chunk of many zeros", ABC + b"0000\r\n\r\n", b"abc"),
        ("100 000 bytes", b"186a0\r\n" + b"x" * 100_000 + b"\r\n" + LAST, b"x" * 100_000),
        ("data that looks like a last chunk", b"5\r\n0\r\n\r\n\r\n" + LAST, b"0\r\n\r\n"),
    ):
        yield serves(f"chunks: {name}", "9112 7.1", chunked(body), posted(whole))


def _sizes() -> Iterator[Case]:
    for size in (
        b"-3", b"+3", b"0x3", b"x3", b"3_0", b"3x", b"g", b"", b" ", b" 3", b"\t3", b"3 ", b"3\t", b"3 3", b"3,3",
        b"3.0", b'"3"', b"3\0", b"\x003", b"3\x0b", b"\xef\xbc\x93", b"3\xa0", b"3h", b"3\r", b"\r3", b"3:", b"3=",
        b"3,a=b", b"3 a=b", b"-0", b"+0", b"0x0",
    ):  # fmt: skip
        yield refuses(f"chunk size {size!r}", "9112 7.1", chunked(size + b"\r\nabc\r\n" + LAST + SMUGGLED))
    # A size is a number of any length. Who has room for it waits for the data, and the end comes first.
    for size in (b"f" * 16, b"f" * 17, b"1" + b"0" * 15 + b"3", b"1" + b"0" * 16 + b"3", b"8" + b"0" * 15, b"f" * 400):
        name = f"chunk size of {len(size)} digits: {size[:18].decode()}"
        yield refuses(name, "9112 7.1", chunked(size + b"\r\nabc\r\n" + LAST), 400, 408, 413, 431, 0, end=True)


def _ends() -> Iterator[Case]:
    for name, body in (
        ("more data than its size", b"3\r\nabcd\r\n" + LAST),
        ("less data than its size", b"4\r\nabc\r\n" + LAST),
        ("no end", b"3\r\nabc" + LAST),
        ("two letters for its end", b"3\r\nabcXX" + LAST),
        ("CR alone for its end", b"3\r\nabc\r" + LAST),
        ("LF, CR for its end", b"3\r\nabc\n\r" + LAST),
        ("an empty line behind its data", b"3\r\nabc\r\n\r\n" + LAST),
        ("CR behind its size", b"3\rabc\r\n" + LAST),
        ("the last one without an empty line", ABC + b"0\r\n"),
        ("the last one ended by CR", ABC + b"0\r\r\n"),
        ("the last one with data", ABC + b"0\r\nabc\r\n\r\n"),
        ("a body without chunks", b"abc"),
        ("a request instead of a chunk", SMUGGLED),
    ):
        yield refuses(f"chunk: {name}", "9112 7.1", chunked(body) + SMUGGLED)
    # The licence for LF alone is one for the lines of heads. Who takes it here has to take it as the line's end.
    yield either("chunk: LF behind its size", "9112 2.2", chunked(b"3\nabc\r\n" + LAST), posted(b"abc"))
    yield either("chunk: LF behind its data", "9112 2.2", chunked(b"3\r\nabc\n" + LAST), posted(b"abc"))
    yield either("chunk: LF behind the last one", "9112 2.2", chunked(ABC + b"0\n\n"), posted(b"abc"))
    yield either("chunk: LF for the empty line", "9112 2.2", chunked(ABC + b"0\r\n\n"), posted(b"abc"))


def _extensions() -> Iterator[Case]:
    for extension in (b";a", b";a=b", b';a="b;c"', b";a=b;c=d", b';a="b\\"c"'):
        yield serves(
            f"chunk extension {extension.decode()}",
            "9112 7.1.1",
            chunked(b"3" + extension + b"\r\nabc\r\n" + LAST),
            posted(b"abc"),
        )
    yield serves("chunk extension at the last chunk", "9112 7.1.1", chunked(ABC + b"0;a=b\r\n\r\n"), posted(b"abc"))
    for extension in (
        b";a\rb",
        b";a\r",
        b";a\r\r",
        b";a\0",
        b" ;a",
        b"; a",
        b";a = b",
        b";",
        b";;",
        b";a=",
        b";=b",
        b";a b",
        b";\xe9",
    ):
        yield either(
            f"odd chunk extension {extension!r}",
            "9112 7.1.1",
            chunked(b"3" + extension + b"\r\nabc\r\n" + LAST),
            posted(b"abc"),
        )
    # Two servers that take LF for the line's end, and don't, see another body (CVE-2025-53643's kind).
    hidden = b"2;\nxx\r\n4c\r\n0\r\n\r\n" + SMUGGLED
    yield refuses("chunk extension with LF in it", "9112 7.1.1", chunked(hidden))
    yield either(
        "a chunk extension of 20 000 bytes",
        "9112 7.1.1",
        chunked(b"3;" + b"a" * 20_000 + b"\r\nabc\r\n" + LAST),
        posted(b"abc"),
        statuses=(400, 413, 431),
    )


def _trailers() -> Iterator[Case]:
    def with_trailers(*lines: bytes) -> bytes:
        return chunked(ABC + b"0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n")

    yield serves("trailers: one", "9112 7.1.2", with_trailers(b"X: y"), posted(b"abc"))
    yield serves("trailers: three", "9112 7.1.2", with_trailers(b"X: y", b"Y: z", b"X: z"), posted(b"abc"))
    for line, name in (
        (b"X: y", "x"),
        (b"Authorization: secret", "authorization"),
        (b"X-Forwarded-For: 1.2.3.4", "x-forwarded-for"),
    ):
        # Merged, they would pass what a proxy has checked in the head.
        request = posted(b"abc", absent=(name,))
        yield serves(f"trailers: {name} never gets among the headers", "9110 6.5.1", with_trailers(line), request)
    request = posted(b"abc", absent=("content-length",))
    yield either("trailers: Content-Length is ignored", "9110 6.5.1", with_trailers(b"Content-Length: 5"), request)
    yield either(
        "trailers: Transfer-Encoding is ignored",
        "9110 6.5.1",
        with_trailers(b"Transfer-Encoding: gzip"),
        posted(b"abc"),
        statuses=(400, 501),
    )
    yield either("trailers: Host is ignored", "9110 6.5.1", with_trailers(b"Host: other"), posted(b"abc"))
    yield either("trailers: folded", "9112 5.2", with_trailers(b"X: a\r\n b"), posted(b"abc"))
    yield either("trailers: a line that ends with LF", "9112 2.2", chunked(ABC + b"0\r\nX: y\n\r\n"), posted(b"abc"))
    for name, line in (
        ("no colon", b"X"),
        ("a space before the colon", b"X : y"),
        ("a space in the name", b"X Y: z"),
        ("no name", b": y"),
        ("NUL in the name", b"X\0: y"),
        ("NUL in the value", b"X: a\0b"),
        ("CR in the value", b"X: a\rb"),
        ("NUL alone", b"\0"),
    ):
        yield refuses(f"trailers: {name}", "9112 7.1.2", with_trailers(line) + SMUGGLED)
    yield either(
        "trailers of 20 000 bytes",
        "9112 7.1.2",
        with_trailers(b"X: " + b"a" * 20_000),
        posted(b"abc"),
        statuses=(400, 413, 431),
    )
