"""The head of a request: what is checked of it as a whole, and what the application sees of it.

llhttp has checked the syntax of its lines. The rest is RFC 9112: section 2.3 (version), 3.2 (target and Host) and 6
(framing of the body).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from corepod.worker.request_head import is_host, split_target, with_host

SPECIAL = frozenset((b"host", b"transfer-encoding", b"content-length", b"expect", b"upgrade"))


class RefusedError(Exception):
    """The request is answered with this status, and the connection closed."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class RequestHead:
    """The head of a request, as it is read."""

    __slots__ = (
        "coding", "continues", "headers", "host", "length", "method", "upgrade", "url", "version",
    )  # fmt: skip

    def __init__(self) -> None:
        self.method = self.url = b""
        self.version = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.host: bytes | None = None
        self.length = -1  # what content-length says, -1 where there is none
        self.coding: bytes | None = None  # transfer-encoding
        self.upgrade: bytes | None = None
        self.continues = False  # the client waits with its body until it is told to go on

    def note(self, name: bytes, value: bytes) -> None:
        """One of the SPECIAL headers. Raises RefusedError."""
        if name == b"host":
            if self.host is not None:
                raise RefusedError(400)
            self.host = value
        elif name == b"content-length":
            self.length = int(value)
        elif name == b"transfer-encoding":
            self.coding = value.lower() if self.coding is None else b"more than one"
        elif name == b"expect":
            self.continues = value.lower() == b"100-continue"
        else:
            self.upgrade = value.lower()

    def check(self, limit: int) -> None:
        """Raises RefusedError unless it is a request that can be served. `limit`: most bytes of target and headers, 0
        for any."""
        if self.version not in ("1.1", "1.0"):
            raise RefusedError(505)
        if self.method == b"CONNECT":
            raise RefusedError(501)
        if self.coding is not None:
            self._check_coding()
        if self.host is None:
            if self.version == "1.1":
                raise RefusedError(400)
        elif not is_host(self.host):
            raise RefusedError(400)
        if limit and len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > limit:
            raise RefusedError(431)

    def _check_coding(self) -> None:
        if self.coding != b"chunked":
            raise RefusedError(501)
        # Before HTTP/1.1 there was no chunked body: a proxy of that time takes it for the next request (RFC 9112, 6.1).
        if self.version == "1.0" or self.length >= 0:
            raise RefusedError(400)

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.coding is not None or self.length > 0

    @property
    def is_for_websocket(self) -> bool:
        """Whether it asks for WebSocket, as a request that can be granted does (RFC 6455, 4.1).

        Raises RefusedError where a body follows.
        """
        if self.upgrade != b"websocket" or self.method != b"GET" or self.version != "1.1":
            return False
        if self.has_body:
            raise RefusedError(400)
        return True

    def as_bytes(self) -> bytes:
        """The head, for another parser."""
        lines = b"".join([b"%b: %b\r\n" % header for header in self.headers])
        return b"%b %b HTTP/%b\r\n%b\r\n" % (self.method, self.url, self.version.encode(), lines)

    def of_body(self) -> bytes:
        """A head for another parser, which says of the body what this one does, and nothing else."""
        length = b"transfer-encoding: chunked" if self.coding is not None else b"content-length: %d" % self.length
        return b"POST / HTTP/1.1\r\n%b\r\n\r\n" % length

    def scope(self, scheme: str, client: Any, server: Any, state: dict[str, Any]) -> dict[str, Any]:
        """The scope of ASGI's HTTP connections. Raises RefusedError for a target that no request may have."""
        target = split_target(self.method, self.url)
        if target is None:
            raise RefusedError(400)
        path, query, host = target
        text = path.decode("ascii")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self.version,
            "method": self.method.decode("ascii"),
            "scheme": scheme,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": with_host(self.headers, host) if host else self.headers,
            "client": client,
            "server": server,
            "state": state.copy(),
            "extensions": {},
        }
