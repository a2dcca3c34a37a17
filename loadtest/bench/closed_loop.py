"""The closed-loop client: each connection asks again as soon as it is answered."""

from __future__ import annotations

import contextlib
import select
import socket
import time

from loadtest.bench.client import READ, complete, request

PATIENCE = 10.0  # seconds that the last answers may take


class ClosedLoop:
    """`connections` kept alive, each with one request under way; `fresh` takes a new one for each request instead."""

    def __init__(self, port: int, path: str, connections: int, *, fresh: bool = False, body: bytes = b"") -> None:
        self._address, self._request = ("127.0.0.1", port), request(path, close=fresh, body=body)
        self._connections = connections
        self._epoll = select.epoll()
        self._socks: dict[int, tuple[socket.socket, list[float]]] = {}  # each with when it has asked; 0 while idle
        self._parts: dict[int, bytes] = {}
        self.late = 0  # answers that came when their run was over

    def run(self, seconds: float) -> list[float]:
        """Latencies of the requests answered within the time, in seconds. Raises OSError for any other answer.

        The requests under way at the end are waited for and counted as `late`: what a server has computed by then is
        all for requests that are known.
        """
        end = time.monotonic() + seconds
        while len(self._socks) < self._connections:
            self._connect()
        for sock, sent in self._socks.values():
            self._ask(sock, sent)
        latencies: list[float] = []
        while (left := end - time.monotonic()) > 0:
            self._take(left, latencies, more=True)
        late: list[float] = []
        while any(sent[0] for _, sent in self._socks.values()):
            if (left := end + PATIENCE - time.monotonic()) <= 0:
                raise OSError(f"no answer within {PATIENCE:g} s")
            self._take(left, late, more=False)
        self.late += len(late)
        return latencies

    def close(self) -> None:
        for sock, _ in self._socks.values():
            sock.close()
        self._epoll.close()

    def _take(self, timeout: float, latencies: list[float], *, more: bool) -> None:
        """Read what has come; ask again where that was an answer, if there is to be `more`."""
        clock, parts = time.monotonic, self._parts
        for fd, _ in self._epoll.poll(timeout):
            sock, sent = self._socks[fd]
            try:
                data = sock.recv(READ)
            except ConnectionResetError:
                data = b""
            if not data:
                parts.pop(fd, None)
                self._replace(fd, more=sent[0] > 0)
                continue
            data = parts.pop(fd, b"") + data
            if not complete(data):
                parts[fd] = data
                continue
            latencies.append(clock() - sent[0])
            if data[9:12] != b"200":
                raise OSError(f"answered {data[:80]!r}")
            sent[0] = 0.0
            if b"connection: close" in data[:512].lower():
                self._replace(fd, more=more)
            elif more:
                self._ask(sock, sent)

    def _ask(self, sock: socket.socket, sent: list[float]) -> None:
        sent[0] = sent[0] or time.monotonic()
        with contextlib.suppress(ConnectionError):  # it has been closed while it was idle: reading tells
            sock.send(self._request)

    def _connect(self) -> tuple[socket.socket, list[float]]:
        since = [0.0]
        sock = socket.create_connection(self._address, timeout=5.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._epoll.register(sock, select.EPOLLIN)
        self._socks[sock.fileno()] = (sock, since)
        return sock, since

    def _replace(self, fd: int, *, more: bool) -> None:
        # Servers end a connection after a number of requests.
        self._epoll.unregister(fd)
        self._socks.pop(fd)[0].close()
        if more:
            began = time.monotonic()
            sock, sent = self._connect()
            sent[0] = began
            self._ask(sock, sent)


def second_requests(port: int, path: str, count: int) -> list[float]:
    """Seconds that the second request on each of `count` connections takes: where TCP_NODELAY is missing, it waits for
    the acknowledgement of the first."""
    latencies = []
    for _ in range(count):
        with socket.create_connection(("127.0.0.1", port), timeout=5.0) as sock:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for _ in range(2):
                sent = time.monotonic()
                sock.sendall(request(path, close=False))
                answer = b""
                while not complete(answer):
                    if not (data := sock.recv(READ)):
                        raise OSError("the connection was closed in the middle of an answer")
                    answer += data
                took = time.monotonic() - sent
            latencies.append(took)
    return latencies
