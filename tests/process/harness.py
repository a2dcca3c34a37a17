"""Runs the real `corepod run` for tests: a ready handshake, polled conditions, deadlines, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.procfs import alive, began, descendants
from tests.waiting import DEADLINE as DEADLINE
from tests.waiting import until as until

if TYPE_CHECKING:
    from collections.abc import Iterator

APPS = Path(__file__).parent.parent / "apps"
# One for all tests: to make a client loads the certificates, which costs more CPU than what is tested. It keeps no
# connection, so that every request has one of its own.
CLIENT = httpx.Client(timeout=DEADLINE, limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)
FAMILY = re.compile(r"on 127\.0\.0\.1:(\d+).*admin on (?:127\.0\.0\.1:(\d+)|none)")


class Pool:
    """One running pool. `args` are flags of `corepod run`; the log is kept in a file."""

    def __init__(
        self,
        app: str,
        *args: str,
        log: Path,
        cwd: Path = APPS,
        env: dict[str, str] | None = None,
        prefix: tuple[str, ...] = (),
        command: str = "run",
        **popen: Any,
    ) -> None:
        self.log_path = log
        words = [*prefix, *self.words(command, app, *args)]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("COREPOD_")}
        with log.open("wb") as file:
            popen = {"stdout": file, "stderr": subprocess.STDOUT, **popen}
            self.process = subprocess.Popen(words, cwd=cwd, env={**clean, **(env or {})}, **popen)
        self._seen: dict[int, str] = {}  # and when it began: its pid may be another process's by the end

    def words(self, command: str, app: str, *args: str) -> list[str]:
        """What is executed."""
        start = [sys.executable, "-m", "corepod", command, app]
        return [*start, "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", *args]

    # Addresses

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def _addresses(self) -> tuple[int, int]:
        match = until(
            lambda: FAMILY.search(self.log) or self._ended(), lambda: f"the first line of the log: {self.log}"
        )
        if isinstance(match, bool):
            raise AssertionError(f"the pool ended with {self.process.poll()}:\n{self.log}")
        return int(match[1]), int(match[2] or 0)

    def _ended(self) -> bool:
        return self.process.poll() is not None

    @property
    def port(self) -> int:
        return self._addresses()[0]

    @property
    def admin_port(self) -> int:
        return self._addresses()[1]

    # Questions

    def get(self, path: str = "/", **options: Any) -> httpx.Response:
        """A request on a connection of its own."""
        return CLIENT.get(f"http://127.0.0.1:{self.port}{path}", **options)

    def admin(self, path: str) -> httpx.Response:
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        try:
            with contextlib.suppress(httpx.RemoteProtocolError):
                return CLIENT.get(url)
            # The supervisor closes a connection that is 5 s old. Whoever was held up for so long asks again.
            return CLIENT.get(url)
        except httpx.ConnectError as error:
            error.add_note(f"port {self.admin_port}; exit code {self.process.poll()}; log:\n{self.log}")
            raise

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.admin("/status").text)
        self._seen.update((slot["pid"], began(slot["pid"])) for slot in answer["slots"] if slot["pid"])
        return answer

    def slot(self, number: int = 0) -> dict[str, Any]:
        slot: dict[str, Any] = self.status()["slots"][number]
        return slot

    def ready(self, workers: int | None = None) -> Pool:
        """Wait until every slot (or `workers` of them) is ready, and the standby where there is one."""

        def complete() -> bool:
            if self._ended():
                raise AssertionError(f"the pool ended with {self.process.poll()}:\n{self.log}")
            status = self.status()
            ready = sum(slot["state"] == "ready" for slot in status["slots"])
            standby = status["standby"]["ready"] or status["standby"]["mode"] == "none"
            return bool(standby and ready == (len(status["slots"]) if workers is None else workers))

        # Several interpreters start one after the other, each of which loads the application.
        until(complete, lambda: f"every slot ready\n{self.log}", 2 * DEADLINE)
        return self

    def until_log(self, text: str, count: int = 1) -> str:
        """Wait until the log has `text` `count` times; returns the log."""
        until(lambda: self.log.count(text) >= count, lambda: f"{text!r} {count} times in the log:\n{self.log}")
        return self.log

    def until_restarts(self, restarts: int, number: int = 0) -> dict[str, Any]:
        """Wait until the slot has died this often and its next worker is ready."""

        def restarted() -> dict[str, Any] | None:
            slot = self.slot(number)
            return slot if slot["restarts"] >= restarts and slot["state"] == "ready" else None

        slot = until(restarted, lambda: f"{restarts} restarts of slot {number}\n{self.log}")
        assert slot is not None
        return slot

    def kill_worker(self) -> None:
        """SIGKILL to the first slot's worker; waits until the next one is ready."""
        before = self.slot()
        os.kill(before["pid"], signal.SIGKILL)
        self.until_restarts(before["restarts"] + 1)

    @property
    def supervisor(self) -> int:
        """Its pid."""
        return self.process.pid

    def outside(self, pid: int) -> int:
        """The pid, as seen from here, of a process that the pool or the application calls by this number."""
        return pid

    def family(self) -> list[int]:
        """The supervisor and everything below it."""
        return [self.process.pid, *descendants(self.process.pid)]

    # Ends

    def signal(self, signum: int) -> None:
        self.process.send_signal(signum)

    def wait(self, deadline: float = DEADLINE) -> int:
        """The exit code; fails when the pool doesn't end."""
        try:
            return self.process.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the pool didn't end:\n{self.log}") from None

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        return self.wait()

    def _living(self) -> list[int]:
        """Those that have been seen and aren't gone: a pid that is free again may soon be another process's."""
        return [pid for pid, since in self._seen.items() if since and began(pid) == since and alive(pid)]

    def close(self) -> None:
        """End whatever is left, and fail if the pool left something behind."""
        if not self._ended():
            self._seen.update((pid, began(pid)) for pid in self.family())
            self.process.terminate()
            try:
                self.process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        with contextlib.suppress(AssertionError):
            until(lambda: not self._living(), "gone")
        left = self._living()
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert not left, f"processes left behind: {left}\n{self.log}"


@contextlib.contextmanager
def running(app: str, *args: str, log: Path, **options: Any) -> Iterator[Pool]:
    """A pool for the length of a with block."""
    pool = Pool(app, *args, log=log, **options)
    try:
        yield pool
    finally:
        pool.close()


def raw(port: int, data: bytes, timeout: float = DEADLINE) -> bytes:
    """Send bytes on a new connection and read until it is closed."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(data)
        return b"".join(iter(lambda: sock.recv(65536), b""))
