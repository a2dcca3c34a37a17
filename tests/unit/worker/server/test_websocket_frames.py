"""The frames of RFC 6455, and the compression of RFC 7692: what is served, and how what breaks the rules ends.

Each group has the name of the chapter it belongs to in the usual test suite of this protocol.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import BYTES_IN
from corepod.worker.hypercorn import websocket
from corepod.worker.hypercorn.deflate import BoundedDeflate

from tests.unit.served import Served, until
from tests.unit.wsclient import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    RSV2,
    RSV3,
    TEXT,
    RawWebSocket,
    frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOCOL_ERROR, INVALID_DATA, TOO_BIG = 1002, 1007, 1009
MOST = 1 << 20  # bytes of a message
LONG = 60.0  # seconds that pass when a test says so


class Echo:
    """Answers each message with itself."""

    def __init__(self) -> None:
        self.disconnects: list[int] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message.get("text"), "bytes": message.get("bytes")})
        self.disconnects.append(message["code"])


@pytest.fixture
def app() -> Echo:
    return Echo()


@pytest.fixture
def served(app: Echo) -> Iterator[Served]:
    with Served(app, websocket_ping=0.0, websocket_max_message=MOST) as server:
        yield server
        server.until_idle()


@pytest.fixture
def peer(served: Served) -> Iterator[RawWebSocket]:
    with RawWebSocket(served.connect()) as client:
        yield client


def closing(code: int, reason: bytes = b"") -> bytes:
    return code.to_bytes(2, "big") + reason


def refused(peer: RawWebSocket, code: int) -> None:
    """The next frame closes with this code, and the connection ends."""
    opcode, payload = peer.read()
    assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, code), payload
    payload[2:].decode()
    assert len(payload) <= 125
    assert peer.rest() == b""


def still_serves(peer: RawWebSocket) -> None:
    peer.send(frame(TEXT, b"still there"))
    assert peer.read() == (TEXT, b"still there")


# 1. Frames of every size


@pytest.mark.parametrize("opcode", [TEXT, BINARY], ids=["text", "binary"])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 65535, 65536, MOST])
def test_a_message_of_any_size_is_echoed(peer: RawWebSocket, opcode: int, size: int) -> None:
    peer.send(frame(opcode, b"*" * size, mask=b"\0\0\0\0"))
    assert peer.read() == (opcode, b"*" * size)


def test_a_message_that_comes_byte_by_byte_is_echoed(peer: RawWebSocket) -> None:
    for byte in frame(BINARY, b"\x00\xff" * 100):
        peer.send(bytes([byte]))
    assert peer.read() == (BINARY, b"\x00\xff" * 100)


# 2. Pings and pongs


@pytest.mark.parametrize("payload", [b"", b"hello", b"\x00\xff\xfe", b"x" * 125], ids=["none", "text", "binary", "125"])
def test_a_ping_is_answered_with_its_payload(peer: RawWebSocket, payload: bytes) -> None:
    peer.send(frame(PING, payload))
    assert peer.read() == (PONG, payload)


def test_a_ping_that_is_too_long_is_refused(peer: RawWebSocket) -> None:
    peer.send(frame(PING, b"x" * 126))
    refused(peer, PROTOCOL_ERROR)


def test_a_pong_that_nobody_asked_for_is_ignored(peer: RawWebSocket) -> None:
    peer.send(frame(PONG) + frame(PONG, b"unasked") + frame(PING, b"after it"))
    assert peer.read() == (PONG, b"after it")


def test_ten_pings_are_answered_in_their_order(peer: RawWebSocket) -> None:
    peer.send(b"".join(frame(PING, b"%d" % n) for n in range(10)))
    assert [peer.read() for _ in range(10)] == [(PONG, b"%d" % n) for n in range(10)]


# 3. Reserved bits, and 4. reserved opcodes


@pytest.mark.parametrize("bits", [RSV1, RSV2, RSV3, RSV1 | RSV2, RSV1 | RSV2 | RSV3])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
def test_a_reserved_bit_is_refused(peer: RawWebSocket, bits: int, opcode: int) -> None:
    still_serves(peer)
    peer.send(frame(opcode, b"", bits=FIN | bits))
    refused(peer, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
def test_a_reserved_opcode_is_refused(peer: RawWebSocket, opcode: int) -> None:
    peer.send(frame(opcode, b"x"))
    refused(peer, PROTOCOL_ERROR)


def test_a_frame_that_is_not_masked_is_refused(peer: RawWebSocket) -> None:
    peer.send(b"\x81\x05hello")
    refused(peer, PROTOCOL_ERROR)


# 5. Fragments


def test_fragments_are_one_message_and_a_ping_between_them_is_answered(peer: RawWebSocket) -> None:
    peer.send(frame(TEXT, b"one ", bits=0) + frame(CONTINUATION, b"two ", bits=0) + frame(PING, b"between"))
    assert peer.read() == (PONG, b"between")
    peer.send(frame(CONTINUATION, b"", bits=0) + frame(CONTINUATION, b"three"))
    assert peer.read() == (TEXT, b"one two three")
    still_serves(peer)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_a_control_frame_in_fragments_is_refused(peer: RawWebSocket, opcode: int) -> None:
    peer.send(frame(opcode, b"", bits=0))
    refused(peer, PROTOCOL_ERROR)


@pytest.mark.parametrize("bits", [0, FIN])
def test_a_continuation_of_nothing_is_refused(peer: RawWebSocket, bits: int) -> None:
    peer.send(frame(CONTINUATION, b"x", bits=bits))
    refused(peer, PROTOCOL_ERROR)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_within_a_message_is_refused(peer: RawWebSocket, opcode: int) -> None:
    peer.send(frame(TEXT, b"one ", bits=0) + frame(opcode, b"two"))
    refused(peer, PROTOCOL_ERROR)


# 6. UTF-8


@pytest.mark.parametrize("text", ["κόσμε", "\U00010000\U0010ffff", "\ufffe\uffff", "\ud7ff\ue000", "\0"])
@pytest.mark.parametrize("step", [1, 2, 100])
def test_text_may_be_cut_anywhere(peer: RawWebSocket, text: str, step: int) -> None:
    data = text.encode()
    peer.send(frame(TEXT, b"", bits=0))
    for start in range(0, len(data), step):
        peer.send(frame(CONTINUATION, data[start : start + step], bits=0))
    peer.send(frame(CONTINUATION, b""))
    assert peer.read() == (TEXT, data)


INVALID = {
    "a byte that never occurs": b"\xff",
    "a continuation byte alone": b"\x80",
    "an overlong form": b"\xc0\xaf",
    "a surrogate": b"\xed\xa0\x80",
    "beyond the last character": b"\xf4\x90\x80\x80",
}


@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID.keys())
def test_text_that_is_no_utf8_is_refused(app: Echo, served: Served, peer: RawWebSocket, data: bytes) -> None:
    peer.send(frame(TEXT, b"before" + data + b"after"))
    refused(peer, INVALID_DATA)
    served.until_idle()
    assert app.disconnects == [INVALID_DATA]


def test_text_that_ends_within_a_character_is_refused(peer: RawWebSocket) -> None:
    peer.send(frame(TEXT, "κ".encode()[:1]))
    refused(peer, INVALID_DATA)


def test_invalid_text_is_refused_with_its_fragment_and_not_with_its_message(peer: RawWebSocket) -> None:
    peer.send(frame(TEXT, "κόσμε".encode(), bits=0) + frame(CONTINUATION, b"\xf4\x90\x80\x80", bits=0))
    refused(peer, INVALID_DATA)


def test_invalid_text_is_refused_with_its_byte_and_not_with_its_frame(peer: RawWebSocket) -> None:
    """The rest of the frame never comes, and no ping comes in between."""
    whole = frame(TEXT, "κόσμε".encode() + b"\xf4\x90\x80\x80" + b"edited", mask=b"mask")
    peer.send(whole[: -len(b"\x80\x80edited")])
    refused(peer, INVALID_DATA)


# 7. The end of a session


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        closing(1000),
        closing(1000, b"bye"),
        closing(1000, b"x" * 123),
        closing(1001),
        closing(1003),
        closing(1011),
        closing(3000),
        closing(4999),
    ],
)
def test_a_close_is_answered_with_its_code(app: Echo, served: Served, peer: RawWebSocket, payload: bytes) -> None:
    peer.send(frame(CLOSE, payload))
    assert peer.read() == (CLOSE, payload)
    assert peer.rest() == b""
    served.until_idle()
    assert app.disconnects == [int.from_bytes(payload[:2], "big") or 1005]


@pytest.mark.parametrize(
    "payload", [b"\x03", *(closing(code) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000))]
)
def test_a_close_with_a_code_that_must_not_be_sent_is_refused(peer: RawWebSocket, payload: bytes) -> None:
    peer.send(frame(CLOSE, payload))
    refused(peer, PROTOCOL_ERROR)


def test_a_close_whose_reason_is_too_long_is_refused(peer: RawWebSocket) -> None:
    peer.send(frame(CLOSE, closing(1000, b"x" * 124)))
    refused(peer, PROTOCOL_ERROR)


def test_a_close_whose_reason_is_no_utf8_is_refused(peer: RawWebSocket) -> None:
    peer.send(frame(CLOSE, closing(1000, b"\xce\xba\xff")))
    refused(peer, INVALID_DATA)


def test_nothing_is_answered_behind_a_close(peer: RawWebSocket) -> None:
    peer.send(frame(CLOSE, closing(1000)) + frame(TEXT, b"late") + frame(PING, b"later") + frame(CLOSE, closing(1001)))
    assert peer.read() == (CLOSE, closing(1000))
    assert peer.rest() == b""


def test_a_close_within_a_message_ends_it(app: Echo, served: Served, peer: RawWebSocket) -> None:
    peer.send(frame(TEXT, b"half", bits=0) + frame(CLOSE, closing(1000)))
    assert peer.read() == (CLOSE, closing(1000))
    assert peer.rest() == b""


# 9. Limits


@pytest.mark.parametrize("size", [MOST // 8, 1024])
def test_a_large_message_in_fragments_is_echoed(peer: RawWebSocket, size: int) -> None:
    pieces = [b"*" * size] * (MOST // size)
    data = b"".join(frame(CONTINUATION, piece, bits=0, mask=b"\0\0\0\0") for piece in pieces)
    peer.send(frame(BINARY, b"", bits=0) + data + frame(CONTINUATION, b""))
    assert peer.read() == (BINARY, b"*" * MOST)


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_a_message_that_is_too_large_is_refused(app: Echo, served: Served, peer: RawWebSocket, opcode: int) -> None:
    peer.send(frame(opcode, b"*" * (MOST + 1), mask=b"\0\0\0\0"))
    opcode, payload = peer.read()
    assert (opcode, payload) == (CLOSE, closing(TOO_BIG))
    peer.send(frame(CLOSE, closing(TOO_BIG)))
    assert peer.rest() == b""
    served.until_idle()
    assert app.disconnects == [TOO_BIG]


def test_what_comes_behind_a_message_that_is_too_large_is_dropped(
    app: Echo, served: Served, peer: RawWebSocket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """hypercorn goes on collecting it, without a limit."""
    monkeypatch.setattr(websocket, "FAREWELL", LONG)
    peer.send(frame(BINARY, b"*" * (MOST + 1), bits=0, mask=b"\0\0\0\0"))
    assert peer.read() == (CLOSE, closing(TOO_BIG))
    (connection,) = served.server.connections.members
    stream = connection._http.stream
    for _ in range(20):
        peer.send(frame(CONTINUATION, b"*" * 65536, bits=0, mask=b"\0\0\0\0"))
    until(lambda: served.words[BYTES_IN] > MOST + 20 * 65536, "everything has come")
    served.advance(LONG)
    assert stream.buffer.value is None
    assert peer.rest() == b"", "left after the farewell"
    served.until_idle()
    assert app.disconnects == [TOO_BIG]


# 12 and 13. Compression

DEFLATE = "permessage-deflate"


def compress(data: bytes) -> bytes:
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compression_is_negotiated_and_served(served: Served) -> None:
    with RawWebSocket(served.connect(), DEFLATE) as peer:
        assert b"sec-websocket-extensions: permessage-deflate" in peer.head.lower()
        inflater = zlib.decompressobj(-15)
        for text in (b"hello" * 1000, b"", b"x"):
            peer.send(frame(TEXT, compress(text), bits=FIN | RSV1))
            first, payload = peer.read_frame()
            assert first & RSV1
            assert inflater.decompress(payload + b"\0\0\xff\xff") == text


def test_messages_of_both_kinds_may_follow_each_other(served: Served) -> None:
    with RawWebSocket(served.connect(), f"{DEFLATE}; server_no_context_takeover; client_no_context_takeover") as peer:
        for n in range(6):
            text = b"message %d" % n
            peer.send(frame(TEXT, compress(text), bits=FIN | RSV1) if n % 2 else frame(TEXT, text))
            peer.send(frame(PING))
            received = dict([peer.read(), peer.read()])
            assert received[PONG] == b""
            assert zlib.decompressobj(-15).decompress(received[TEXT] + b"\0\0\xff\xff") == text


def test_a_ping_between_the_fragments_of_a_compressed_message_is_answered(served: Served) -> None:
    """wsproto takes the rest of the message for uncompressed."""
    with RawWebSocket(served.connect(), DEFLATE) as peer:
        data = compress(b"hello" * 100)
        peer.send(frame(TEXT, data[:5], bits=RSV1) + frame(PING, b"between") + frame(CONTINUATION, data[5:]))
        assert peer.read() == (PONG, b"between")
        assert zlib.decompressobj(-15).decompress(peer.read()[1] + b"\0\0\xff\xff") == b"hello" * 100


def test_a_final_block_ends_no_session(served: Served) -> None:
    """RFC 7692, 7.2.3.5."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, -15)
    final = compressor.compress(b"hello") + compressor.flush(zlib.Z_FINISH)
    with RawWebSocket(served.connect(), f"{DEFLATE}; server_no_context_takeover") as peer:
        for _ in range(3):
            peer.send(frame(TEXT, final + b"\0", bits=FIN | RSV1))
            assert zlib.decompressobj(-15).decompress(peer.read()[1] + b"\0\0\xff\xff") == b"hello"


@pytest.mark.parametrize(
    "offer",
    [
        f"{DEFLATE}; client_max_window_bits=abc",
        f"{DEFLATE}; server_max_window_bits=99",
        "permessage-bzip2",
        f"{DEFLATE}; server_max_window_bits=",
    ],
)
def test_an_offer_that_makes_no_sense_is_declined(served: Served, offer: str) -> None:
    with RawWebSocket(served.connect(), offer) as peer:
        assert b"extensions" not in peer.head.lower()
        still_serves(peer)


def test_data_that_can_not_be_inflated_is_refused(served: Served) -> None:
    with RawWebSocket(served.connect(), DEFLATE) as peer:
        peer.send(frame(TEXT, b"\xff\xff\xff", bits=FIN | RSV1))
        refused(peer, INVALID_DATA)


def test_a_message_that_inflates_to_the_limit_is_served(served: Served) -> None:
    with RawWebSocket(served.connect(), DEFLATE) as peer:
        peer.send(frame(BINARY, compress(b"\0" * MOST), bits=FIN | RSV1))
        assert zlib.decompressobj(-15).decompress(peer.read()[1] + b"\0\0\xff\xff") == b"\0" * MOST


@pytest.mark.parametrize("step", [1 << 20, 1000], ids=["at once", "in fragments"])
def test_a_message_that_inflates_beyond_the_limit_is_refused(
    app: Echo, served: Served, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """One that would take a gigabyte is a megabyte on its way."""
    bomb = compress(b"\0" * (64 << 20))
    assert len(bomb) < 100_000
    inflated: list[int] = []
    inflate = BoundedDeflate._inflate

    def noted(self: BoundedDeflate, data: bytes) -> Any:
        result = inflate(self, data)
        inflated.append(self._inflated)
        return result

    monkeypatch.setattr(BoundedDeflate, "_inflate", noted)
    monkeypatch.setattr(websocket, "FAREWELL", LONG)  # or it might pass while the fragments are sent
    with RawWebSocket(served.connect(), DEFLATE) as peer:
        peer.send(frame(BINARY, b"", bits=RSV1))
        for start in range(0, len(bomb), step):
            peer.send(frame(CONTINUATION, bomb[start : start + step], bits=0))
        assert peer.read() == (CLOSE, closing(TOO_BIG))
        served.advance(LONG)
        peer.rest()
    served.until_idle()
    assert app.disconnects == [TOO_BIG]
    assert max(inflated) == MOST + 1
