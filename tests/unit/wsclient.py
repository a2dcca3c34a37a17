"""A WebSocket client that sends whatever bytes a test wants, and reads frame by frame."""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING, Self

from corepod.contract.scoreboard import BYTES_IN
from corepod.worker.transport import on_the_way

from tests.unit.served import Served, read_all, until

if TYPE_CHECKING:
    import socket

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
FIN, RSV1, RSV2, RSV3 = 0x80, 0x40, 0x20, 0x10


def frame(opcode: int, payload: bytes = b"", *, bits: int = FIN, mask: bytes | None = None) -> bytes:
    """A masked frame. `bits` are the upper four of its first byte."""
    mask = os.urandom(4) if mask is None else mask
    size = len(payload)
    if size < 126:
        length = bytes([0x80 | size])
    elif size < 1 << 16:
        length = b"\xfe" + size.to_bytes(2, "big")
    else:
        length = b"\xff" + size.to_bytes(8, "big")
    masked = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload)) if any(mask) else payload
    return bytes([bits | opcode]) + length + mask + masked


class RawWebSocket:
    """A connection after its handshake, for the length of a with block."""

    def __init__(self, sock: socket.socket, extensions: str = "") -> None:
        self._sock = sock
        key = base64.b64encode(os.urandom(16)).decode()
        head = (
            "GET /ws HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
        )
        if extensions:
            head += f"Sec-WebSocket-Extensions: {extensions}\r\n"
        self._sock.sendall(head.encode() + b"\r\n")
        self.head = b""
        while b"\r\n\r\n" not in self.head:
            byte = self._sock.recv(1)
            assert byte, f"closed after {self.head!r}"
            self.head += byte
        assert self.head.startswith(b"HTTP/1.1 101"), self.head

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """The next frame: opcode and payload. A frame may say that it is compressed; see `read_frame`."""
        first, payload = self.read_frame()
        return first & 0x0F, payload

    def read_frame(self) -> tuple[int, bytes]:
        """The next frame: its first byte, and its payload."""
        first, length = self._exactly(2)
        assert not length & 0x80, "a server doesn't mask"
        if length == 126:
            length = int.from_bytes(self._exactly(2), "big")
        elif length == 127:
            length = int.from_bytes(self._exactly(8), "big")
        return first, self._exactly(length)

    def some(self, most: int) -> bytes:
        """What there is, up to this many bytes."""
        return self._sock.recv(most)

    def rest(self) -> bytes:
        """What comes until the server closes the connection."""
        return read_all(self._sock)

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            data = self._sock.recv(size - len(got))
            assert data, f"closed after {got!r}"
            got += data
        return got


def tell(served: Served, peer: RawWebSocket, data: bytes) -> None:
    """Send this, and wait until the server has read it."""
    before = served.words[BYTES_IN]
    peer.send(data)
    until(lambda: served.words[BYTES_IN] == before + len(data), "it has come")
    served.advance(0.0)


def read_a_little(served: Served, peer: RawWebSocket) -> int:
    """Read until the peer's kernel has told the server's that something was taken, and return how many bytes."""
    (member,) = served.server.connections.members
    waits, got = sum(on_the_way(member.transport)), 0
    while sum(on_the_way(member.transport)) == waits:
        got += len(peer.some(1024))
    return got
