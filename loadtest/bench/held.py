"""Connections that are only held: idle ones, silent ones, heads that don't end, and clients that send byte by byte."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from loadtest.bench.client import READ, complete, request

if TYPE_CHECKING:
    from types import TracebackType

HALF_HEAD = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n"
TOGETHER = 32  # requests under way at once while idle connections are made
RESERVE = 200  # descriptors that this process needs besides


def possible(wanted: int) -> int:
    """How many connections a process may hold here, `wanted` at the most. Servers inherit the limit raised here."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return wanted if hard == resource.RLIM_INFINITY else min(wanted, hard - RESERVE)


class Held:
    """Connections that have sent `first` and then nothing; with `answered`, they have read one response each.

    Raises OSError where they can't be made.
    """

    def __init__(self, port: int, count: int, first: bytes = b"", *, answered: bool = False) -> None:
        self._address, self._first = ("127.0.0.1", port), first
        self.socks: list[socket.socket] = []
        try:
            while len(self.socks) < count:
                some = [self._connect() for _ in range(min(TOGETHER, count - len(self.socks)))]
                for sock in some if answered else ():
                    _read_response(sock)
        except OSError:
            self.close()
            raise

    def _connect(self) -> socket.socket:
        sock = socket.create_connection(self._address, timeout=10.0)
        self.socks.append(sock)
        sock.sendall(self._first)
        return sock

    def close(self) -> None:
        for sock in self.socks:
            sock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def idle(port: int, count: int) -> Held:
    """Connections kept alive that have had one answer."""
    return Held(port, count, request("/", close=False), answered=True)


def _read_response(sock: socket.socket) -> None:
    answer = b""
    while not complete(answer):
        if not (data := sock.recv(READ)):
            raise OSError("the connection was closed in the middle of an answer")
        answer += data


class Slow(Held):
    """Clients that send a request's head byte by byte, all of them once in `every` seconds, and then the next one."""

    def __init__(self, port: int, count: int, every: float) -> None:
        super().__init__(port, count)
        self._every, self._stop = every, threading.Event()
        self._thread = threading.Thread(target=self._trickle, daemon=True)
        self._thread.start()

    def _trickle(self) -> None:
        whole, at = request("/", close=False), 0
        while not self._stop.is_set():
            for index, sock in enumerate(self.socks):
                with contextlib.suppress(OSError):  # a server may end such a connection
                    sock.send(whole[at : at + 1])
                    if at == 0:
                        sock.setblocking(False)
                        sock.recv(READ)
                if index % 50 == 49:
                    time.sleep(0)  # the measuring thread goes first
            at = (at + 1) % len(whole)
            self._stop.wait(self._every)

    def close(self) -> None:
        if hasattr(self, "_stop"):
            self._stop.set()
            self._thread.join()
        super().close()
