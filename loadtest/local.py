"""The server under test on this machine: it is restarted when it exits, and killed with all its children at the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from corepod.hit.exchange import OK, Client

if TYPE_CHECKING:
    from collections.abc import Callable

START = 60.0  # seconds a server may take to answer
STOP = 30.0  # seconds it may take to end
APP = "corepod.demo:app"
GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def corepod(port: int, admin: int, lasts: float, workers: str) -> list[str]:
    """A pool that kills a stuck worker after `lasts` seconds, and doesn't give up however often a worker is killed."""
    stuck = ["--stuck-dump", f"{lasts / 2:g}", "--stuck-timeout", f"{lasts:g}", "--crash-budget", "1000/60"]
    addresses = ["--bind", f"127.0.0.1:{port}", "--admin", f"127.0.0.1:{admin}"]
    return [sys.executable, "-m", "corepod", "run", APP, "--workers", workers, *addresses, *stuck]


def hypercorn(port: int, admin: int, lasts: float, workers: str) -> list[str]:
    """The same application served by plain hypercorn with as many workers."""
    count = str(len(os.sched_getaffinity(0))) if workers == "auto" else workers
    return [sys.executable, "-m", "hypercorn", APP, "--workers", count, "--bind", f"127.0.0.1:{port}"]


SERVERS: dict[str, Callable[[int, int, float, str], list[str]]] = {"corepod": corepod, "hypercorn": hypercorn}


class Server:
    """One of SERVERS, from `with` to the end of the block. `again`: start it again when it dies, as an init would."""

    def __init__(self, name: str, lasts: float, workers: str, log: Path, *, again: bool) -> None:
        self.port, self.admin_port = free_ports(2)
        self._command = SERVERS[name](self.port, self.admin_port, lasts, workers)
        self._log, self._again = log, again
        self._ending = threading.Event()
        self.url = f"http://127.0.0.1:{self.port}"
        self.admin = f"http://127.0.0.1:{self.admin_port}" if name == "corepod" else ""

    def __enter__(self) -> Self:
        self._process = self._start()
        try:
            self._wait_until_it_answers()
        except BaseException:
            self._end()
            raise
        self._watch = threading.Thread(target=self._start_again, daemon=True)
        if self._again:
            self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        if self._watch.is_alive():
            self._watch.join()
        self._end()

    def _start(self) -> subprocess.Popen[bytes]:
        environment = {key: value for key, value in os.environ.items() if not key.startswith("COREPOD_")}
        with self._log.open("ab") as log:
            # A group of its own: children of a dead parent can still be found and killed.
            return subprocess.Popen(
                self._command,
                env={**environment, "COREPOD_DEMO_CRASH": "1"},
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
            )

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START
        while Client(self.url, timeout=1.0).get("/healthz").outcome != OK:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command[2]} ended with {self._process.returncode}:\n{self._tail()}")
            if time.monotonic() > end:
                raise RuntimeError(f"{self._command[2]} didn't answer within {START:g} s:\n{self._tail()}")
            time.sleep(0.05)

    def _start_again(self) -> None:
        while not self._ending.wait(0.05):
            if self._process.poll() is not None:
                end_group(self._process.pid)
                self._process = self._start()

    def _end(self) -> None:
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP)
        end_group(self._process.pid)
        self._process.wait()

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-15:])


def end_group(leader: int) -> None:
    """SIGKILL for all of a process group, stopped ones, too; nothing where there is none left."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports that are free, and that the kernel gives to nobody who asks for any port before they are used."""
    found: list[int] = []
    below = range(15_000, min(30_000, _least_given()))  # node ports of Kubernetes begin at 30000
    candidates = random.sample(below, min(2 * count, len(below)))
    with contextlib.ExitStack() as stack:
        for port in [*candidates, *[0] * count]:  # any, where somebody has those
            sock = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                sock.bind(("127.0.0.1", port))
                found.append(sock.getsockname()[1])
    return found[:count]


def _least_given() -> int:
    """The least port that the kernel gives to those who ask for any."""
    try:
        return int(GIVEN.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32768
