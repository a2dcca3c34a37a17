"""The bytes of the admin port's responses. One that tells about each slot is made in pieces."""

from __future__ import annotations

import json
import time

from corepod import __version__
from corepod.contract.runtime import SERVER

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

MOMENT = 0.002  # seconds for which pieces of a response are made at a time
END = b"\r\n\r\n"
PLAIN, JSON, HTML = "text/plain; charset=utf-8", "application/json", "text/html; charset=utf-8"
REASONS = {
    200: "OK",
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    431: "Request Header Fields Too Large",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


class Reply:
    """A response: `data` is all of it, empty while it is being made. `more`: the client may still be sending bytes
    behind its request."""

    __slots__ = ("_head_only", "_making", "data", "more")

    def __init__(self, data: bytes, more: bool, *, making: Making | None = None, head_only: bool = False) -> None:
        self.more, self._making, self._head_only = more, making, head_only
        self.data = self._shown(data)
        self.complete()

    def complete(self) -> bool:
        """Whether `data` is there by now."""
        if not self.data and self._making is not None:
            self.data = self._shown(self._making.data)
        return bool(self.data)

    def _shown(self, whole: bytes) -> bytes:
        return whole[: whole.index(END) + len(END)] if whole and self._head_only else whole


class Making:
    """A response with a document of any length, which is made in pieces: the supervisor has one thread, and that of 512
    slots takes a tenth of a second. `data` is the whole response, empty while it isn't complete."""

    __slots__ = ("_header", "_kind", "_pieces", "_text", "data")

    def __init__(self, pieces: Iterator[str], kind: str, header: str = "") -> None:
        self._pieces, self._kind, self._header = pieces, kind, header
        self._text: list[str] = []
        self.data = b""

    def go_on(self) -> None:
        """Make pieces for a moment."""
        end = time.monotonic() + MOMENT
        while not self.data:
            piece = next(self._pieces, None)
            if piece is None:
                self.data = response(200, self._kind, encode("".join(self._text)), self._header)
                self._text.clear()
            else:
                self._text.append(piece)
                if time.monotonic() >= end:
                    return


def as_json(status: dict[str, Any]) -> Iterator[str]:
    """As `json.dumps` with an indent of 1 writes it, slot by slot."""
    slots = status.pop("slots")
    yield json.dumps(status, indent=1).removesuffix("\n}") + ',\n "slots": ['
    comma = ""
    for slot in slots:
        yield comma + "\n  " + json.dumps(slot, indent=1).replace("\n", "\n  ")
        comma = ","
    yield "\n ]\n}\n"


def response(status: int, kind: str, body: bytes, header: str = "") -> bytes:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime())
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: {SERVER}{__version__}\r\nDate: {date}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\nCache-Control: no-store\r\n"
        f"X-Content-Type-Options: nosniff\r\nCross-Origin-Resource-Policy: same-origin\r\n{header}\r\n"
    )
    return head.encode("ascii") + body


def encode(text: str) -> bytes:
    # An application's reason may contain half of a surrogate pair, which UTF-8 can't encode.
    return text.encode("utf-8", "replace")
