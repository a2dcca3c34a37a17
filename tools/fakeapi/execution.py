"""exec: a websocket with the subprotocol v4.channel.k8s.io, behind which a function is the container."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tools.fakeapi.server import Handler

PROTOCOL = "v4.channel.k8s.io"
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
STDOUT, STDERR, STATUS = b"\1", b"\2", b"\3"
BINARY, CLOSE = 2, 8
PIECE = 1000  # bytes of a frame


class Ended(NamedTuple):
    """How a command has ended in a container. `refusal` is what the runtime says of one that couldn't be started."""

    code: int = 0
    out: bytes = b""
    err: bytes = b""
    refusal: str = ""


def serve(handler: Handler, pod: str) -> None:
    """Answer an upgrade, and then with what the container does."""
    query = parse_qs(urlsplit(handler.path).query)
    key = handler.headers["Sec-WebSocket-Key"]
    accepted = base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()
    handler.send_response(101)
    for name, value in {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Accept": accepted,
        "Sec-WebSocket-Protocol": PROTOCOL,
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.close_connection = True
    ended = handler.api.container(pod, query["container"][0], query["command"])
    for channel, data in ((STDOUT, ended.out), (STDERR, ended.err)):
        for at in range(0, len(data), PIECE):
            _send(handler, BINARY, channel + data[at : at + PIECE])
    _send(handler, BINARY, STATUS + json.dumps(_status(ended)).encode())
    _send(handler, CLOSE, struct.pack("!H", 1000))


def _send(handler: Handler, kind: int, data: bytes) -> None:
    """A frame as servers send it, without a mask."""
    length = struct.pack("!B", len(data)) if len(data) < 126 else struct.pack("!BH", 126, len(data))
    handler.wfile.write(bytes([0x80 | kind]) + length + data)


def _status(ended: Ended) -> dict[str, object]:
    if ended.refusal:
        return {"status": "Failure", "reason": "InternalError", "message": ended.refusal, "code": 500}
    if not ended.code:
        return {"status": "Success"}
    causes = [{"reason": "ExitCode", "message": str(ended.code)}]
    message = f"command terminated with non-zero exit code: {ended.code}"
    return {"status": "Failure", "reason": "NonZeroExitCode", "message": message, "details": {"causes": causes}}
