"""A name server that says what a test wants: addresses of one name, by DNS over UDP (RFC 1035, section 4)."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from typing import TYPE_CHECKING

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESPONSE = 0x8580  # authoritative, no error
IN = 1
TYPES = {1: socket.AF_INET, 28: socket.AF_INET6}  # A and AAAA
NAME = 0xC00C  # that of the question
HEAD = 12  # bytes before the question


class Nameserver:
    """Says nothing at first, then one list of addresses after the other, in turn for each family; `answered` counts."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._answers: dict[int, Iterator[Sequence[str]]] = {}
        self.answered = 0
        self.port: int = listener.getsockname()[1]

    def say(self, *answers: Sequence[str]) -> None:
        self._answers = {kind: itertools.cycle(answers) for kind in TYPES}

    def more(self, count: int) -> None:
        """Wait for so many answers from now on."""
        before = self.answered
        until(lambda: self.answered >= before + count, lambda: f"{count} more answers: {self.answered - before}")

    def serve(self) -> None:
        while True:
            query, client = self._listener.recvfrom(65536)
            if not query:
                return
            if self._answers:
                self._listener.sendto(self._answer(query, self._answers), client)
                self.answered += 1

    def _answer(self, query: bytes, answers: dict[int, Iterator[Sequence[str]]]) -> bytes:
        end = query.index(b"\0", HEAD) + 5  # the name's end, its type and class
        kind = struct.unpack("!H", query[end - 4 : end - 2])[0]
        addresses = next(answers[kind]) if kind in TYPES else ()
        packed = [
            socket.inet_pton(TYPES[kind], address)
            for address in addresses
            if (":" in address) is (TYPES[kind] == socket.AF_INET6)
        ]
        records = [struct.pack("!HHHLH", NAME, kind, IN, 1, len(address)) + address for address in packed]
        head = query[:2] + struct.pack("!HHHHH", RESPONSE, 1, len(records), 0, 0)
        return head + query[HEAD:end] + b"".join(records)


@contextlib.contextmanager
def nameserver() -> Iterator[Nameserver]:
    """On a free port of 127.0.0.1."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        server = Nameserver(listener)
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            yield server
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
                last.sendto(b"", listener.getsockname())
            thread.join()
