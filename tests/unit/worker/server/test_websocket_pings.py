"""WebSocket pings: when they come, and what becomes of a peer that answers none."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import BYTES_OUT, CONNECTIONS, IN_FLIGHT

from tests.unit.h2client import Http2
from tests.unit.served import Served, until
from tests.unit.wsclient import BINARY, CLOSE, PING, PONG, TEXT, RawWebSocket, frame, read_a_little, tell

if TYPE_CHECKING:
    from collections.abc import Callable

INTERVAL = 0.2  # seconds
LONG = 60.0  # seconds that pass when a test says so
NO_ANSWER = b"\x03\xf3keepalive ping timeout"


class Echo:
    """Answers each message, and notes how its sessions end."""

    def __init__(self, size: int = 0) -> None:
        self.disconnects: list[tuple[int, str]] = []
        self.size = size  # bytes it begins with

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self.size:
            await send({"type": "websocket.send", "bytes": b"x" * self.size})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        self.disconnects.append((message["code"], message["reason"]))


@pytest.fixture
def app() -> Echo:
    return Echo()


def test_the_first_ping_comes_after_an_interval(app: Echo) -> None:
    """Or it would come between what a peer has just sent and its answer."""
    with Served(app, websocket_ping=60.0) as served, RawWebSocket(served.connect()) as peer:
        peer.send(frame(TEXT, b"hello"))
        assert peer.read() == (TEXT, b"hello")
    with Served(app, websocket_ping=INTERVAL) as served, RawWebSocket(served.connect()) as peer:
        assert peer.read() == (PING, b"")


def test_a_peer_that_answers_no_ping_is_closed_with_1011(app: Echo) -> None:
    with Served(app, websocket_ping=INTERVAL) as served:
        with RawWebSocket(served.connect()) as peer:
            assert peer.read() == (PING, b"")
            while (got := peer.read()) == (PING, b""):
                pass  # a loop that was late asks once more: the answer may be there, unread
            assert got == (CLOSE, NO_ANSWER)
            assert peer.rest() == b""
        served.until_idle()
    assert app.disconnects == [(1011, NO_ANSWER[2:].decode())]


@pytest.mark.parametrize("patience", [LONG / 2, 3 * LONG])
def test_the_time_for_an_answer_may_differ_from_that_between_pings(app: Echo, patience: float) -> None:
    timing: dict[str, Any] = {"websocket_ping": LONG, "websocket_ping_timeout": patience}
    with Served(app, **timing) as served, RawWebSocket(served.connect()) as peer:
        served.advance(LONG)
        assert peer.read() == (PING, b"")
        served.advance(patience / 2)
        tell(served, peer, frame(PONG))
        served.advance(patience / 2)
        served.advance(max(0.0, LONG - patience))
        assert peer.read() == (PING, b""), "it has answered in time"
    with Served(app, **timing) as served:
        with RawWebSocket(served.connect()) as peer:
            served.advance(LONG)
            assert peer.read() == (PING, b"")
            served.advance(patience)
            assert peer.read() == (CLOSE, NO_ANSWER)
            assert peer.rest() == b""
        served.until_idle()


PIECES = frame(BINARY, b"a message that takes its time", mask=b"mask")


@pytest.mark.parametrize(
    "sign",
    [lambda n: frame(PONG), lambda n: frame(TEXT, b"x"), lambda n: PIECES[n : n + 1]],
    ids=["a pong", "a message", "a byte of a message"],
)
def test_whatever_comes_from_a_peer_is_a_sign_of_life(app: Echo, sign: Callable[[int], bytes]) -> None:
    with Served(app, websocket_ping=LONG) as served, RawWebSocket(served.connect()) as peer:
        for n in range(6):
            served.advance(LONG)
            while (got := peer.read())[0] == TEXT:
                pass  # the answer to a message
            assert got == (PING, b"")
            tell(served, peer, sign(n))
        assert served.words[IN_FLIGHT] == 1


def test_without_pings_a_silent_peer_may_stay(app: Echo) -> None:
    with Served(app, websocket_ping=0.0) as served, RawWebSocket(served.connect()):
        end = time.monotonic() + 5 * INTERVAL
        while time.monotonic() < end:
            assert served.words[CONNECTIONS] == 1
            time.sleep(0.01)


def test_a_peer_whose_messages_wait_for_the_application_is_there() -> None:
    """Its answer is behind them."""
    go = asyncio.Event()
    disconnects: list[int] = []

    async def busy(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await go.wait()
        while (message := await receive())["type"] == "websocket.receive":
            pass
        disconnects.append(message["code"])

    with Served(busy, websocket_ping=LONG) as served, RawWebSocket(served.connect()) as peer:
        tell(served, peer, frame(TEXT, b"x") * 100)
        for _ in range(5):
            served.advance(LONG)
            assert peer.read() == (PING, b"")
            tell(served, peer, frame(PONG))
        served.loop.call_soon_threadsafe(go.set)
        served.advance(LONG)
        assert peer.read() == (PING, b"")
        peer.send(frame(PONG) + frame(CLOSE, b"\x03\xe8"))
        peer.rest()
        served.until_idle()
    assert disconnects == [1000]


def test_a_ping_behind_what_a_slow_peer_still_reads_has_time() -> None:
    """The server's kernel has taken everything, and the ping is at its end."""
    size = 300_000
    with Served(Echo(size), websocket_ping=LONG) as served, RawWebSocket(served.slow_reader(2 * size)) as peer:
        until(lambda: served.words[BYTES_OUT] > size, "the message has left")
        got = 0
        for _ in range(5):
            served.advance(LONG)
            got += read_a_little(served, peer)
        assert got < size, "too fast to say anything"
        assert served.words[IN_FLIGHT] == 1


def test_http2_a_peer_that_answers_no_ping_is_closed_with_1011(app: Echo) -> None:
    with Served(app, websocket_ping=INTERVAL, keep_alive=1.0) as served:
        with served.held():
            sock = served.connect()
            client = Http2(sock)
            stream = client.websocket()
        with sock:
            client.read_until(stream)
            assert client.statuses[stream] == 200
            ping = b"\x89\x00"
            assert client.bodies[stream].startswith(ping)
            assert client.bodies[stream].replace(ping, b"") == b"\x88\x18" + NO_ANSWER
            assert stream in client.ended
            until(lambda: not served.words[IN_FLIGHT], "nothing in flight")
            client.read_all()
            served.until_idle()
    assert app.disconnects == [(1011, NO_ANSWER[2:].decode())]


def test_http2_sessions_that_have_ended_leave_room_for_others(app: Echo) -> None:
    """Each one is a stream, and a stream that the server never ends counts until the connection ends."""
    with Served(app, http2_max_streams=3) as served, served.connect() as sock:
        client = Http2(sock)
        for _ in range(10):
            stream = client.websocket()
            assert client.read_status(stream) == 200
            client.data(stream, frame(CLOSE, b"\x03\xe8"), end=True)
            client.read_until(stream)
            assert client.bodies[stream] == b"\x88\x02\x03\xe8"
            assert stream in client.ended
        until(lambda: not served.words[IN_FLIGHT], "nothing in flight")
    assert app.disconnects == [(1000, "")] * 10
