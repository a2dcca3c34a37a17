"""Pods' metrics as the operator reads them: servers on addresses 127.0.0.x, all at one port."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[socket.socket], None]

TRIES = 20  # ports


def response(text: str) -> Answer:
    """An answer with these metrics."""
    body = text.encode()
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    return lambda connection: connection.sendall(whole)


def deaths(number: object, reason: str = "oom", started: int = 5) -> Answer:
    """An answer as a supervisor gives it."""
    return response(
        f'corepod_start_time_seconds {started}\ncorepod_worker_restarts_total{{slot="0",reason="{reason}"}} {number}\n'
    )


class FakePods:
    """Answers each connection in a thread of its own, as told in `answers` by address."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self._closed = threading.Event()
        self._listeners = _listeners(list(answers))
        self.port = int(self._listeners[0].getsockname()[1])
        self._threads = [threading.Thread(target=self._serve, args=(each,)) for each in self._listeners]
        for thread in self._threads:
            thread.start()

    def knock(self, address: str, port: int) -> None:
        """Send the datagram by which a pod reports a death."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as knocker:
            knocker.bind((address, 0))
            with contextlib.suppress(OSError):
                knocker.sendto(b"look at me", ("127.0.0.1", port))

    def hold(self, connection: socket.socket) -> None:
        """An answer of one byte now and then, without end."""
        while not self._closed.wait(0.1):
            connection.sendall(b"x")

    def close(self) -> None:
        self._closed.set()
        for listener in self._listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self, listener: socket.socket) -> None:
        address = str(listener.getsockname()[0])
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=self._answer, args=(connection, address), daemon=True).start()

    def _answer(self, connection: socket.socket, address: str) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(4096)
            self.answers[address](connection)


def _listeners(addresses: list[str]) -> list[socket.socket]:
    """One at each address, all at a port that is free at all of them."""
    for _ in range(TRIES):
        with contextlib.ExitStack() as stack:
            made, port = [], 0
            try:
                for address in addresses:
                    made.append(stack.enter_context(socket.create_server((address, port))))
                    port = int(made[0].getsockname()[1])
            except OSError:
                continue
            stack.pop_all()
            return made
    raise AssertionError("no port is free at all addresses")
