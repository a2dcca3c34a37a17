"""WebSockets of a worker that stops: how long a peer that doesn't answer the close frame holds the stop up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import BYTES_OUT, IN_FLIGHT
from corepod.worker.hypercorn import websocket
from corepod.worker.transport import unsent

from tests.unit.h2client import Http2
from tests.unit.served import Served, until
from tests.unit.wsclient import BINARY, CLOSE, TEXT, RawWebSocket, frame, read_a_little, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENCE, FAREWELL = 60.0, 600.0  # seconds that pass when a test says so
RESTART = b"\x03\xf4service restart"
FITS, LARGE = 300_000, 2 << 20  # bytes: what the server's kernel takes, and more than it does


class Talker:
    """Begins with a message of this size, and notes how its sessions end."""

    def __init__(self, size: int = 0) -> None:
        self.codes: list[int] = []
        self.size = size

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        if self.size:
            await send({"type": "websocket.send", "bytes": b"x" * self.size})
        while (message := await receive())["type"] == "websocket.receive":
            pass
        self.codes.append(message["code"])


@pytest.fixture(autouse=True)
def times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "SILENCE", SILENCE)
    monkeypatch.setattr(websocket, "FAREWELL", FAREWELL)


@pytest.fixture
def app() -> Talker:
    return Talker()


@pytest.fixture
def served(app: Talker) -> Iterator[Served]:
    with Served(app, websocket_ping=0.0, write_timeout=0.0) as served:
        yield served


def leave(served: Served) -> None:
    """Tell its sessions to end. They have begun to wait when this returns: what a test does happens in that time."""
    served.loop.call_soon_threadsafe(served.server.close_websockets)
    served.advance(0.0)


def serves(served: Served) -> bool:
    return bool(served.words[IN_FLIGHT])


def until_left(served: Served) -> None:
    """Its kernel may acknowledge a part of what it has read only now, which is a sign of life."""

    def left() -> bool:
        served.advance(SILENCE)
        return not serves(served)

    until(left, "it is left")
    served.until_idle()


def transport(served: Served) -> Any:
    (member,) = served.server.connections.members
    return member.transport


def test_a_silent_peer_is_left_early(app: Talker, served: Served) -> None:
    with RawWebSocket(served.connect()) as peer:
        leave(served)
        assert peer.read() == (CLOSE, RESTART)
        served.advance(SILENCE / 2)
        assert serves(served), "left before its time"
        served.advance(SILENCE / 2)
        assert peer.rest() == b""
        served.until_idle()
    assert app.codes == [1012]


def test_a_peer_that_answers_has_time_and_is_not_reset(app: Talker, served: Served) -> None:
    with RawWebSocket(served.connect()) as peer:
        leave(served)
        assert peer.read() == (CLOSE, RESTART)
        served.advance(SILENCE / 2)
        peer.send(frame(CLOSE, RESTART[:2]))
        assert peer.some(1) == b"", "closed, and not reset"
        served.until_idle()
    assert app.codes == [1012]


@pytest.mark.parametrize(
    "sign", [lambda n: frame(TEXT, b"hello"), lambda n: frame(BINARY, b"*" * 100)[n : n + 1]], ids=["messages", "bytes"]
)
def test_a_peer_that_is_still_sending_may_answer_behind_it(
    app: Talker, served: Served, sign: Callable[[int], bytes]
) -> None:
    with RawWebSocket(served.connect()) as peer:
        leave(served)
        assert peer.read() == (CLOSE, RESTART)
        for n in range(5):
            tell(served, peer, sign(n))
            served.advance(SILENCE)
            assert serves(served)
        served.advance(SILENCE)
        assert peer.rest() == b"", "it has fallen silent"
        served.until_idle()
    assert app.codes == [1012]


def test_nobody_has_more_than_the_whole_time(app: Talker, served: Served) -> None:
    with RawWebSocket(served.connect()) as peer:
        leave(served)
        assert peer.read() == (CLOSE, RESTART)
        tell(served, peer, frame(TEXT, b"hello"))
        served.advance(FAREWELL)
        assert peer.rest() == b""
        served.until_idle()
    assert app.codes == [1012]


def test_a_peer_that_still_reads_what_came_before_has_time(app: Talker, served: Served) -> None:
    """The kernel has taken all of it. It would be lost if the connection was closed while the peer sends something."""
    app.size = FITS
    with RawWebSocket(served.slow_reader(2 * FITS)) as peer:
        until(lambda: served.words[BYTES_OUT] > FITS, "the message has left")
        before = served.words[BYTES_OUT]
        leave(served)
        until(lambda: served.words[BYTES_OUT] == before + 2 + len(RESTART), "the close frame has left")
        got = 0
        for _ in range(5):
            got += read_a_little(served, peer)
            served.advance(SILENCE)
            assert serves(served)
        assert got < FITS, "too fast to say anything"
        until_left(served)
        assert peer.rest().endswith(RESTART), "what the kernel has is sent"
    assert app.codes == [1012]


def test_what_the_kernel_has_not_taken_is_given_the_whole_time(app: Talker, served: Served) -> None:
    """It would be lost, however long its peer pauses."""
    app.size = LARGE
    with RawWebSocket(served.slow_reader(2 * FITS)) as peer:
        until(lambda: served.server.connections.members and unsent(transport(served)), "the kernel is full")
        leave(served)
        for _ in range(5):
            served.advance(SILENCE)
            assert serves(served)
        assert peer.read() == (BINARY, b"x" * LARGE)
        assert peer.read() == (CLOSE, RESTART)
        until_left(served)
        assert peer.rest() == b""
    assert app.codes == [1012]


def test_http2_a_stream_behind_a_closed_window_has_the_whole_time(app: Talker, served: Served) -> None:
    app.size = LARGE
    with served.connect() as sock:
        client = Http2(sock)
        stream = client.websocket()
        assert client.read_status(stream) == 200
        (member,) = served.server.connections.members
        until(lambda: member._http.blocked_streams(), "its window is closed")
        leave(served)
        for _ in range(5):
            served.advance(SILENCE)
            assert serves(served)
        served.advance(FAREWELL)
        until(lambda: not serves(served), "left")
    assert stream not in client.ended


def test_http2_a_silent_peer_is_left_early(app: Talker, served: Served) -> None:
    with served.connect() as sock:
        client = Http2(sock)
        stream = client.websocket()
        assert client.read_status(stream) == 200
        leave(served)
        (member,) = served.server.connections.members
        until(lambda: member._http.streams[stream]._asked, "it is asked to close")
        served.advance(SILENCE)
        client.read_until(stream)
        assert client.bodies[stream].endswith(RESTART)
        until(lambda: not serves(served), "left")
    assert app.codes == [1012]
