"""A running peer: started, watched, and ended with everything below it."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from loadtest.bench import client, host
from loadtest.bench.peers import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from loadtest.bench.peers import Peer

START = 60.0  # seconds a server may take to answer
STOP = 10.0
CALM = 0.15  # seconds without work after which a server counts as settled


class Server:
    """A running peer."""

    def __init__(self, peer: Peer, cores: set[int], log: Path, env: dict[str, str]) -> None:
        self.peer, self.name = peer, peer.name
        self._cores, self._log = cores, log
        self._env = {**os.environ, **env, **peer.env, "PYTHONPATH": str(ROOT)}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.port = 0
        self.answered = 0.0  # when it gave its first 200, on CLOCK_MONOTONIC
        self.complete = 0.0  # when each of its workers had given one
        self._seen: set[bytes] = set()  # pids that have answered
        self.last_death = 0.0

    def start(self) -> Server:
        """Returns when it answers. Raises RuntimeError with its log's end when it doesn't."""
        sockets = self._sockets()
        self.port = sockets[0].getsockname()[1]
        fds = [sock.fileno() for sock in sockets] if self.peer.reuseport else []
        if not fds:
            sockets[0].close()
        with host.pinned(self._cores), self._log.open("ab") as log:
            for fd in fds or [self.port]:
                self._processes.append(
                    subprocess.Popen(
                        self.peer.command(fd),
                        cwd=ROOT,
                        env=self._env,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        pass_fds=fds,
                        start_new_session=True,  # Ctrl-C is for the bench, which then ends its servers
                    )
                )
                host.prefer(self._processes[-1].pid, host.SERVER_NICE)
        for sock in sockets:
            sock.close()
        self._until(self._up, START, "it doesn't answer")
        self._until(self._all_up, START, "not all of its workers answer")
        self.complete = time.monotonic()
        self._until(lambda: len(self.workers()) >= self.peer.workers, START, "not all of its workers are there")
        return self.settle()

    def _sockets(self) -> list[socket.socket]:
        """Listening sockets for SO_REUSEPORT, else one that only finds a free port."""
        sockets = []
        port = 0
        for _ in range(self.peer.workers if self.peer.reuseport else 1):
            sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
            if self.peer.reuseport:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(("127.0.0.1", port))
            if self.peer.reuseport:
                sock.listen(2048)
            port = sock.getsockname()[1]
            sockets.append(sock)
        return sockets

    def _up(self) -> bool:
        if not self.alive:
            raise RuntimeError(self._complaint("it ended"))
        try:
            client.get(self.port)
        except OSError:
            return False
        self.answered = time.monotonic()
        return True

    def _all_up(self) -> bool:
        if self.peer.workers > 1:
            # Several at a time that block their worker: one alone would always be answered by the same.
            with ThreadPoolExecutor(2 * self.peer.workers) as threads:
                self._seen.update(threads.map(self.get, ["/block"] * 2 * self.peer.workers))
        return len(self._seen) >= self.peer.workers or self.peer.workers == 1

    def get(self, path: str = "/") -> bytes:
        return client.get(self.port, path)

    @property
    def alive(self) -> bool:
        return all(process.poll() is None for process in self._processes)

    @property
    def pid(self) -> int:
        return self._processes[0].pid

    def workers(self) -> list[int]:
        """Pids of the processes that serve now."""
        return [pid for process in self._processes for pid in self.peer.workers_of(process.pid) if host.alive(pid)]

    def family(self) -> list[int]:
        return [pid for process in self._processes for pid in host.tree(process.pid)]

    def cpu(self) -> float:
        """CPU seconds used by all its living processes."""
        return sum(host.cpu(pid) for pid in self.family())

    def settle(self) -> Server:
        """Wait until it is at its strength again and does nothing any more."""
        self._until(
            lambda: len(self.workers()) >= self.peer.workers or not self.alive, START, "its workers don't return"
        )
        deadline = time.monotonic() + STOP
        while time.monotonic() < deadline:
            before = self.cpu()
            time.sleep(CALM)
            if abs(self.cpu() - before) < 0.05 * CALM:
                break
        return self

    def stop(self) -> None:
        """Ask it to stop, then make it."""
        family = self.family() if self._processes else []
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(STOP)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        # Whatever it left behind has become this process's child: a number that isn't is somebody else's by now.
        host.kill(set(family).intersection(host.tree(os.getpid())))
        host.reap()

    def _until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(self._complaint(f"{what} within {seconds:g} s"))
            time.sleep(0.01)

    def _complaint(self, what: str) -> str:
        with contextlib.suppress(OSError):
            what += ":\n" + "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])
        return f"{self.name}: {what}"
