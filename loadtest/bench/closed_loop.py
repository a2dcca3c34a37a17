"""The closed-loop client: each connection asks again as soon as it is answered."""

from __future__ import annotations

import select
import socket
import time

from loadtest.bench.client import READ, complete, request


class ClosedLoop:
    """`connections` kept alive, each with one request under way."""

    def __init__(self, port: int, path: str, connections: int) -> None:
        self._address, self._request = ("127.0.0.1", port), request(path, close=False)
        self._epoll = select.epoll()
        self._socks: dict[int, tuple[socket.socket, list[float]]] = {}
        self._parts: dict[int, bytes] = {}
        for _ in range(connections):
            self._connect()

    def run(self, seconds: float) -> list[float]:
        """Latencies of the requests answered within the time, in seconds. Raises OSError for any other answer."""
        latencies: list[float] = []
        clock, parts = time.monotonic, self._parts
        now = clock()
        end = now + seconds
        while now < end:
            for fd, _ in self._epoll.poll(max(0.0, end - now)):
                sock, sent = self._socks[fd]
                data = parts.pop(fd, b"") + sock.recv(READ)
                if not complete(data):
                    if not data:
                        self._replace(fd)
                    else:
                        parts[fd] = data
                    continue
                now = clock()
                latencies.append(now - sent[0])
                if data[9:12] != b"200":
                    raise OSError(f"answered {data[:80]!r}")
                if b"connection: close" in data[:512].lower():
                    self._replace(fd)
                else:
                    sent[0] = now
                    sock.send(self._request)
            now = clock()
        return latencies

    def close(self) -> None:
        for sock, _ in self._socks.values():
            sock.close()
        self._epoll.close()

    def _connect(self) -> None:
        sock = socket.create_connection(self._address, timeout=5.0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._epoll.register(sock, select.EPOLLIN)
        self._socks[sock.fileno()] = (sock, [time.monotonic()])
        sock.send(self._request)

    def _replace(self, fd: int) -> None:
        # Servers end a connection after a number of requests.
        self._epoll.unregister(fd)
        self._socks.pop(fd)[0].close()
        self._connect()


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
