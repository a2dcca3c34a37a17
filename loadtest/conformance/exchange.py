"""What a server answers to bytes: sent as they are, read until it closes the connection, and taken apart."""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass

PATIENCE = 10.0  # seconds without a byte after which a server counts as hanging: more than its keep-alive


@dataclass(frozen=True)
class Answer:
    """One response."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def values(self, name: bytes) -> list[bytes]:
        return [value for found, value in self.headers if found.lower() == name]


@dataclass(frozen=True)
class Exchange:
    """Everything that was answered on a connection."""

    answers: tuple[Answer, ...] = ()
    interim: tuple[int, ...] = ()  # statuses below 200
    hung: bool = False  # the connection was still open after PATIENCE
    fault: str = ""  # what is wrong with the form of the answers


def talk(port: int, data: bytes, *, at_once: bool = True, end: bool = False, patience: float = PATIENCE) -> bytes:
    """Everything that is answered to `data` until the connection closes. Not `at_once`: a packet a byte.

    With `end` the client closes its half after the data. Raises TimeoutError with what has come as its argument where
    the server doesn't close.
    """
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):  # it may be refused before everything is said
            for part in [data] if at_once else [data[at : at + 1] for at in range(len(data))]:
                sock.sendall(part)
            if end:
                sock.shutdown(socket.SHUT_WR)
        try:
            while more := sock.recv(1 << 16):
                got += more
        except ConnectionError:
            pass  # bytes that nobody has read turn the end into a reset
        except TimeoutError:
            raise TimeoutError(got) from None
    return got


def parse(data: bytes, methods: list[str]) -> Exchange:
    """The responses in `data`, to requests with these methods (GET for those past the last)."""
    answers: list[Answer] = []
    interim: list[int] = []
    while data:
        method = methods[len(answers)] if len(answers) < len(methods) else "GET"
        try:
            answer, data = _answer(data, method)
        except ValueError as error:
            return Exchange(tuple(answers), tuple(interim), fault=f"{error}: {data[:80]!r}")
        if answer.status < 200:
            interim.append(answer.status)
        else:
            answers.append(answer)
    return Exchange(tuple(answers), tuple(interim))


def _answer(data: bytes, method: str) -> tuple[Answer, bytes]:
    """The first response, and what is behind it. Raises ValueError where it has no form."""
    head, found, rest = data.partition(b"\r\n\r\n")
    if not found:
        raise ValueError("a response without the end of its head")
    first, *lines = head.split(b"\r\n")
    version, _, status = first.partition(b" ")
    if version not in (b"HTTP/1.1", b"HTTP/1.0") or not status[:3].isdigit():
        raise ValueError("no status line")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or name != name.strip():
            raise ValueError("a header line without a name")
        headers.append((name, value.strip()))
    answer = Answer(int(status[:3]), tuple(headers), b"")
    body, rest = _body(answer, method, rest)
    return Answer(answer.status, answer.headers, body), rest


def _body(answer: Answer, method: str, rest: bytes) -> tuple[bytes, bytes]:
    if method == "HEAD" or answer.status < 200 or answer.status in (204, 304):
        return b"", rest
    if answer.values(b"transfer-encoding"):
        return _chunks(rest)
    lengths = answer.values(b"content-length")
    if not lengths:
        return rest, b""  # until the connection ends
    length = int(lengths[0])
    if len(lengths) > 1 or len(rest) < length:
        raise ValueError("a body that isn't as long as announced")
    return rest[:length], rest[length:]


def _chunks(rest: bytes) -> tuple[bytes, bytes]:
    body = b""
    while True:
        line, found, rest = rest.partition(b"\r\n")
        size = int(line.partition(b";")[0] or b"x", 16)
        if not found or rest[size : size + 2] != b"\r\n":
            raise ValueError("a chunk without an end")
        body, rest = body + rest[:size], rest[size + 2 :]
        if not size:
            return body, rest
