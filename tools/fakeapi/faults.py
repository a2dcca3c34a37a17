"""What a fault does to a request. Each returns True when it has answered, and False to have the request served."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.fakeapi.server import Call, Handler

Do = Callable[["Handler"], bool]


@dataclass
class Fault:
    """Happens to the next `times` requests that match; `seen` are those it happened to."""

    do: Do
    match: Callable[[Call], bool]
    times: float
    seen: list[Call] = field(default_factory=list)


def status(code: int, reason: str = "", **headers: str) -> Do:
    """A refusal as the API server words it; headers with _ for -."""

    def do(handler: Handler) -> bool:
        body = {"kind": "Status", "status": "Failure", "reason": reason, "message": f"made to fail with {code}"}
        handler.answer(code, {**body, "code": code}, {name.replace("_", "-"): value for name, value in headers.items()})
        return True

    return do


def html(code: int = 200) -> Do:
    """A page of a proxy."""

    def do(handler: Handler) -> bool:
        handler.raw(code, b"<html><body>Please log in\nto go on</body></html>", "text/html")
        return True

    return do


def body(data: bytes, code: int = 200) -> Do:
    """Any body, said to be JSON."""

    def do(handler: Handler) -> bool:
        handler.raw(code, data, "application/json")
        return True

    return do


def cut(handler: Handler) -> bool:
    """Half of what was promised, then the end."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    handler.wfile.write(b'{"kind":"List","metadata":{"resourceVersion":"1"},"items":[{"metadata"')
    handler.close_connection = True
    return True


def reset(handler: Handler) -> bool:
    """RST instead of an answer."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.close_connection = True
    return True


def hang(handler: Handler) -> bool:
    """No answer, and no end of the connection, until the fake API server closes."""
    handler.api.closing.wait()
    handler.close_connection = True
    return True


def slow(seconds: float) -> Do:
    """Served, later."""

    def do(handler: Handler) -> bool:
        handler.api.closing.wait(seconds)
        return False

    return do


def drip(handler: Handler) -> bool:
    """A byte now and then, for ever: each keeps a socket's timeout from running out."""
    handler.send_response(200)
    handler.send_header("Content-Length", "100000")
    handler.end_headers()
    while not handler.api.closing.wait(0.05):
        handler.wfile.write(b" ")
    return True
