"""Clients that go on asking while a test does something to the pool, and what a test needs to find in its processes."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Self

import httpx

from tests import procfs
from tests.process.harness import CLIENT
from tests.procfs import alive, comm, descendants, state
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.process.harness import Pool

PAUSE = 0.002  # seconds between two requests of a client: the load must leave the machine to what is tested


class Client(threading.Thread):
    """A request in the background. `status` is 0 until it is answered, and -1 where the connection was cut."""

    def __init__(self, pool: Pool, path: str) -> None:
        super().__init__()
        self._url = f"http://127.0.0.1:{pool.port}{path}"
        self.status = 0
        self.start()

    def run(self) -> None:
        try:
            self.status = CLIENT.get(self._url, timeout=2 * DEADLINE).status_code
        except httpx.HTTPError:
            self.status = -1

    def result(self) -> int:
        self.join(2 * DEADLINE)
        return self.status


def end_all_but(pool: Pool, survivor: int) -> None:
    """Kill the supervisor: the pool ends with it and leaves the port free, while this process of it lives on. It is
    killed at the end."""
    port, family = pool.port, [pid for pid in pool.family() if pid != survivor]
    try:
        os.kill(pool.supervisor, signal.SIGKILL)
        pool.wait()
        until(lambda: not any(map(alive, family)), "the pool gone")
        # A standby that was being forked has never been in the family.
        until(lambda: is_free(port), "the port is free")
        assert alive(survivor)
    finally:
        os.kill(survivor, signal.SIGKILL)


def is_free(port: int) -> bool:
    """Whether nothing listens on this port of the loopback address."""
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True


class Traffic:
    """Asks for `path` until the with block ends. `failures`: what went wrong and when; `answers`: bodies, counted."""

    def __init__(self, port: int, path: str = "/pid", clients: int = 2, *, keep_alive: bool = False) -> None:
        self._port, self._path, self._keep_alive = port, path, keep_alive
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask, name=f"client-{n}") for n in range(clients)]
        self.answers: Counter[str] = Counter()
        self._by_client: Counter[str] = Counter()  # answers, by the name of its thread
        self.failures: list[tuple[float, str]] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        until(lambda: self.answers or self.failures, "a first answer")
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(DEADLINE)

    @property
    def refused(self) -> list[tuple[float, str]]:
        """Failures before there was a connection."""
        return [failure for failure in self.failures if failure[1].startswith("connect")]

    def more(self, count: int) -> None:
        """Wait for `count` answers more."""
        goal = self.answers.total() + count
        until(lambda: self.answers.total() >= goal, lambda: f"{count} answers more; failures: {self.failures}")

    def each(self, count: int) -> None:
        """Wait until each client has had `count` answers more: what is on its way now has been answered then."""
        goals = {thread.name: self._by_client[thread.name] + count for thread in self._threads}
        until(
            lambda: all(self._by_client[name] >= goal for name, goal in goals.items()),
            lambda: f"{count} answers more for each client; failures: {self.failures}",
        )

    def _ask(self) -> None:
        while not self._over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE)
            phase = "connect"
            try:
                connection.connect()
                phase = "request"
                while True:
                    connection.request("GET", self._path, headers={} if self._keep_alive else {"Connection": "close"})
                    answer = connection.getresponse()
                    body = answer.read().decode()
                    if answer.status != 200:
                        raise http.client.HTTPException(f"status {answer.status}: {body}")
                    self.answers[body] += 1
                    self._by_client[threading.current_thread().name] += 1
                    if self._over.is_set() or answer.will_close:
                        break
                    time.sleep(PAUSE)
            except (OSError, http.client.HTTPException) as error:
                self.failures.append((time.monotonic(), f"{phase}: {error!r}"))
            finally:
                connection.close()
            time.sleep(PAUSE)


class Queued:
    """Connections with a request each, made now and answered by whoever takes them."""

    def __init__(self, port: int, count: int = 3, path: str = "/pid") -> None:
        self._socks = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            self._socks.append(sock)

    def answers(self) -> list[str]:
        """The bodies; for a connection that failed, how."""
        return [self._answer(sock) for sock in self._socks]

    @staticmethod
    def _answer(sock: socket.socket) -> str:
        with sock:
            try:
                data = b"".join(iter(lambda: sock.recv(65536), b""))
            except OSError as error:
                return repr(error)
        head, _, body = data.partition(b"\r\n\r\n")
        return body.decode() if head.startswith(b"HTTP/1.1 200 ") else f"no answer: {data!r}"


def ask(port: int, path: str) -> str:
    """One request on a connection of its own: the body, or how it failed."""
    return Queued(port, 1, path).answers()[0]


@contextlib.contextmanager
def held_ports(count: int) -> Iterator[list[int]]:
    """Ports for a pool that is told which to use. They are bound, but nobody listens: so they are free for whoever asks
    for these very ones, as the pool does, and nobody else gets them."""
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(socket.socket()) for _ in range(count)]
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", 0))
        yield [sock.getsockname()[1] for sock in socks]


def refused(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=DEADLINE).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass  # cut while it was still in the queue of a socket that is being closed
    return False


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process with SIGSTOP: it takes nothing from any queue until the block ends."""
    os.kill(pid, signal.SIGSTOP)
    until(lambda: state(pid) == "T", f"process {pid} stopped")
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def standby(pool: Pool) -> int:
    """The pid of the process that waits to be the next worker."""
    pool.ready()

    def spare() -> set[int]:
        # What was forked in between, and what a reload has left, may take a while to be gone.
        status = pool.status()
        known = {status["template"]["pid"], *(slot["pid"] for slot in status["slots"])}
        found = {pid for pid in descendants(pool.process.pid) if alive(pid)} - known
        return found if len(found) == 1 else set()

    (pid,) = until(spare, "one standby")
    return pid


def workers(pool: Pool) -> list[int]:
    """Every living process that has taken a slot's place, as the kernel shows them."""
    below = descendants(pool.process.pid)
    return [pid for pid in below if comm(pid) == "corepod-worker" and alive(pid)]


def zombies(pool: Pool) -> list[int]:
    return [pid for pid in descendants(pool.process.pid) if state(pid) == "Z"]


def until_reaped(pool: Pool) -> None:
    """Wait until there is no zombie: the template may be late to reap the process in between of its last fork."""
    until(lambda: not zombies(pool), "no zombie")


def descriptors(pool: Pool) -> int:
    """How many descriptors the supervisor has open."""
    return procfs.descriptors(pool.process.pid)
