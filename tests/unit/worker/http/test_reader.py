"""However a stream of requests is cut into pieces, the same exchanges come out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from corepod.worker.http.head import RefusedError
from corepod.worker.http.reader import PIECE, RequestReader
from hypothesis import given
from hypothesis import strategies as st

if TYPE_CHECKING:
    from corepod.worker.http.exchange import Exchange


@dataclass
class Recorder:
    """What a reader asks of a connection; each request has its turn at once."""

    exchanges: list[Exchange] = field(default_factory=list)
    waiting: list[Exchange] = field(default_factory=list)
    requests = 0
    half_closed = False
    scheme, client, local = "http", None, None
    server: Any = field(default_factory=lambda: SimpleNamespace(limit_header=16384, state={}, clock=lambda: 0.0))

    def requested(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.requests += 1

    def pause_reading(self) -> None:
        pass


def read(*pieces: bytes) -> tuple[list[tuple[str, str, bytes, bool, bool]], int]:
    """What has come out of these pieces: method, path, body, whether it is whole and whether the connection goes on,
    for each request. And the status with which the reader refuses what follows, or 0."""
    recorder = Recorder()
    reader = RequestReader(recorder)  # type: ignore[arg-type]
    status = 0
    try:
        for piece in pieces:
            assert reader.feed(piece) == b""
    except RefusedError as error:
        status = error.status
    return [
        (exchange.scope["method"], exchange.scope["path"], body_of(exchange), not exchange.more, exchange.keep)
        for exchange in recorder.exchanges
    ], status


def body_of(exchange: Exchange) -> bytes:
    """Nothing is waited for: it is there, or it isn't."""
    if exchange.more and not exchange._body:
        return b""
    try:
        exchange.receive().send(None)
    except StopIteration as message:
        return bytes(message.value["body"])
    raise AssertionError("it waits")


@dataclass(frozen=True)
class Sent:
    path: str
    body: bytes | None
    chunked: bool
    upgrade: bool
    empty_lines: int

    @property
    def method(self) -> str:
        return "GET" if self.body is None else "POST"

    def as_bytes(self, last: bool = False) -> bytes:
        lines = [f"{self.method} {self.path} HTTP/1.1".encode(), b"Host: test"]
        options = [b"close"] * last
        if self.upgrade:
            options.append(b"Upgrade")
            lines.append(b"Upgrade: h2c")
        if options:
            lines.append(b"Connection: " + b", ".join(options))
        body = self.body or b""
        if self.chunked and self.body is not None:
            lines.append(b"Transfer-Encoding: chunked")
            half = len(body) // 2
            chunks = [chunk for chunk in (body[:half], body[half:]) if chunk]
            body = b"".join(b"%x;a=b\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nX: y\r\n\r\n"
        elif self.body is not None:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n" * self.empty_lines + b"\r\n".join(lines) + b"\r\n\r\n" + body


requests = st.builds(
    Sent,
    path=st.from_regex(r"/[a-zA-Z0-9]{0,9}", fullmatch=True),
    # A body that looks like a request is none.
    body=st.one_of(st.none(), st.binary(max_size=60), st.just(b"GET /smuggled HTTP/1.1\r\nHost: test\r\n\r\n")),
    chunked=st.booleans(),
    upgrade=st.booleans(),
    empty_lines=st.integers(0, 2),
)
cuts = st.lists(st.integers(0, 2000), max_size=30)


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    edges = sorted({0, len(stream), *(place for place in at if place < len(stream))})
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


@given(sent=st.lists(requests, min_size=1, max_size=6), at=cuts, last=st.booleans(), behind=st.binary(max_size=30))
def test_the_same_exchanges_come_out(sent: list[Sent], at: list[int], last: bool, behind: bytes) -> None:
    stream = b"".join(request.as_bytes() for request in sent[:-1]) + sent[-1].as_bytes(last)
    if last:
        stream += behind
    expected = [
        (request.method, request.path, request.body or b"", True, not (last and n == len(sent) - 1))
        for n, request in enumerate(sent)
    ]
    assert read(stream) == (expected, 0)
    assert read(*cut(stream, at)) == (expected, 0)
    if len(stream) < 500:
        assert read(*(bytes([byte]) for byte in stream)) == (expected, 0)


@given(
    sent=st.lists(requests, max_size=3),
    at=cuts,
    bad=st.sampled_from([b"\0", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]),
)
def test_what_is_no_request_is_refused_behind_the_good_ones(sent: list[Sent], at: list[int], bad: bytes) -> None:
    stream = b"".join(request.as_bytes() for request in sent) + bad
    found, status = read(*cut(stream, at))
    assert status in (400, 501)
    assert found == [(request.method, request.path, request.body or b"", True, True) for request in sent]


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n"])
def test_a_body_that_is_cut_is_not_whole(end: bytes) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
    whole = head + b"3\r\nabc\r\n" + end
    assert read(whole) == ([("POST", "/a", b"abc", True, True)], 0)
    for size in range(len(head) + 6, len(whole)):
        assert read(whole[:size]) == ([("POST", "/a", b"abc", False, True)], 0)


HANDSHAKE = b"GET /ws HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: "


@pytest.mark.parametrize("size", [200, PIECE - 1, PIECE, PIECE + 1])
def test_what_comes_behind_a_handshake_is_another_protocols(size: int) -> None:
    handshake = HANDSHAKE + b"x" * (size - len(HANDSHAKE) - 4) + b"\r\n\r\n"
    reader = RequestReader(Recorder())  # type: ignore[arg-type]
    assert reader.feed(handshake + b"frames") == b"frames"
    assert reader.websocket is not None
    assert reader.websocket.lower().startswith(b"get /ws http/1.1\r\nhost: test\r\n")


@pytest.mark.parametrize(
    "endless",
    [
        b"GET / HTTP/1.1\r\nHost: test\r\nX: ",
        b"GET /",
        b"\r\n",
        b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n3;",
    ],
)
@pytest.mark.parametrize("size", [1000, PIECE, 5 * PIECE])
def test_nothing_is_endless(endless: bytes, size: int) -> None:
    piece = (b"\r\n" if endless == b"\r\n" else b"xx") * (size // 2)
    assert read(endless, *[piece] * 200)[1] == 431
    assert read(endless, *[piece[:100]] * 9)[1] == 0, "what is short is waited for"


def test_many_requests_wait_in_bytes() -> None:
    recorder = Recorder()
    recorder.waiting = recorder.exchanges
    reader = RequestReader(recorder)  # type: ignore[arg-type]
    one = b"GET / HTTP/1.1\r\nHost:\r\n\r\n"
    left = reader.feed(one * 10_000)
    assert len(recorder.exchanges) == PIECE // len(one)
    assert len(left) == len(one) * 10_000 - PIECE
