"""The open-loop client on connections that are kept."""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections import deque
from typing import TYPE_CHECKING

from loadtest.bench import held
from loadtest.bench.client import OpenLoop, Sample, request

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class KeptOpenLoop(OpenLoop):
    """Sends each request on the connection that has been idle longest, and on a new one where none is."""

    def __init__(self, port: int, path: str, times: Sequence[float], connections: int) -> None:
        super().__init__(port, path, times)
        self._request = request(path, close=False)
        self._idle: deque[socket.socket] = deque(held.idle(port, connections).socks)

    def run(self, patience: float, enough: Callable[[Sample], bool] = lambda sample: False) -> list[Sample]:
        try:
            return super().run(patience, enough)
        finally:
            for sock in self._idle:
                sock.close()

    def _send(self, sample: Sample) -> None:
        while self._idle:
            sock = self._idle.popleft()
            sock.setblocking(False)
            if _ended(sock):
                sock.close()
                continue
            sample.sent = time.monotonic()
            self._write(sock)
            self._open[sock.fileno()] = (sock, sample)
            self._epoll.register(sock, select.EPOLLIN)
            return
        super()._send(sample)

    def _release(self, sock: socket.socket, sample: Sample) -> None:
        if sample.outcome == "ok":
            self._idle.append(sock)
        else:
            super()._release(sock, sample)


def _ended(sock: socket.socket) -> bool:
    """Whether the server has closed it meanwhile."""
    with contextlib.suppress(BlockingIOError):
        return not sock.recv(1, socket.MSG_PEEK)
    return False
