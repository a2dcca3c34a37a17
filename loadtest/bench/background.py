"""What else a server does while something is measured: clients, arrivals, connections that are held."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Self

from loadtest.bench.client import READ, OpenLoop, complete, get, request

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

PATIENCE = 30.0  # seconds


class Clients:
    """`count` clients on one path, each with one request under way: on a connection of its own for each, or `kept`."""

    def __init__(self, port: int, path: str, count: int, *, kept: bool = False) -> None:
        self._port, self._path, self._kept = port, path, kept
        self._answered = [0] * count
        self.failed = 0
        self._stop = threading.Event()
        # Threads that only wait.
        self._threads = [threading.Thread(target=self._run, args=(number,), daemon=True) for number in range(count)]

    @property
    def answered(self) -> int:
        return sum(self._answered)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def _run(self, number: int) -> None:
        while not self._stop.is_set():
            try:
                if self._kept:
                    self._stay(number)
                else:
                    get(self._port, self._path, PATIENCE)
                    self._answered[number] += 1
            except OSError:
                self.failed += 1
                self._stop.wait(0.05)  # a server that refuses must not make this thread the load

    def _stay(self, number: int) -> None:
        with socket.create_connection(("127.0.0.1", self._port), timeout=PATIENCE) as sock:
            while not self._stop.is_set():
                sock.sendall(request(self._path, close=False))
                answer = b""
                while not complete(answer):
                    if not (data := sock.recv(READ)):
                        return  # it has had its number of requests
                    answer += data
                if answer[9:12] != b"200":
                    raise OSError(f"answered {answer[:80]!r}")
                self._answered[number] += 1


class Arrivals:
    """Requests at fixed times on new connections, whatever becomes of the measured ones."""

    def __init__(self, port: int, path: str, times: Sequence[float]) -> None:
        self._loop = OpenLoop(port, path, times)
        self._thread = threading.Thread(target=self._loop.run, args=(PATIENCE,), daemon=True)

    @property
    def answered(self) -> int:
        return sum(sample.outcome == "ok" for sample in self._loop.samples)

    @property
    def failed(self) -> int:
        return sum(sample.outcome not in ("ok", "timeout") for sample in self._loop.samples)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._thread.join(2 * PATIENCE)


def settled(seconds: float = 0.2) -> None:
    """Give what goes on in the background the time to be under way."""
    time.sleep(seconds)
