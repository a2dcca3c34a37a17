"""Compression of WebSocket messages (RFC 7692), with a bound for what a message inflates to."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

from wsproto.extensions import PerMessageDeflate
from wsproto.frame_protocol import CloseReason, RsvBits

if TYPE_CHECKING:
    from wsproto.connection import Connection


def bound(connection: Connection, most: int) -> None:
    """Let no compressed message of this connection inflate to more than `most` bytes."""
    for extension in connection._proto.extensions:
        if isinstance(extension, BoundedDeflate):
            extension.most = most


class BoundedDeflate(PerMessageDeflate):
    """wsproto's inflates everything that has arrived, a thousand times as much, before anybody can look at the size. A
    control frame between the fragments of a compressed message makes it take the rest for uncompressed, and a
    parameter that is no number fails the whole handshake."""

    most = 0  # bytes of a message
    _inflated = 0  # bytes of the present message

    def accept(self, offer: str) -> bool | str | None:
        try:
            return super().accept(offer)
        except ValueError:
            return None  # declined

    def frame_inbound_header(self, proto: Any, opcode: Any, rsv: RsvBits, payload_length: int) -> CloseReason | RsvBits:
        if opcode.iscontrol():
            self._inbound_is_compressible = False
            return CloseReason.PROTOCOL_ERROR if rsv.rsv1 else RsvBits(False, False, False)
        return super().frame_inbound_header(proto, opcode, rsv, payload_length)

    def frame_inbound_payload_data(self, proto: Any, data: bytes) -> bytes | CloseReason:
        if not self._inbound_compressed or not self._inbound_is_compressible:
            return data
        return self._inflate(data)

    def frame_inbound_complete(self, proto: Any, fin: bool) -> bytes | CloseReason | None:
        if not self._inbound_is_compressible or not fin:
            return None
        compressed, self._inbound_compressed = self._inbound_compressed, None
        if not compressed:
            return None
        rest = self._inflate(b"\x00\x00\xff\xff")
        self._inflated = 0
        # A final block of DEFLATE ends the stream: what comes behind one would inflate to nothing.
        if self.client_no_context_takeover or (self._decompressor is not None and self._decompressor.eof):
            self._decompressor = None
        return rest

    def _inflate(self, data: bytes) -> bytes | CloseReason:
        decompressor: Any = self._decompressor
        try:
            inflated: bytes = decompressor.decompress(data, self.most - self._inflated + 1)
        except zlib.error:
            return CloseReason.INVALID_FRAME_PAYLOAD_DATA
        self._inflated += len(inflated)
        return CloseReason.MESSAGE_TOO_BIG if self._inflated > self.most else inflated
