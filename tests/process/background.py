"""Pools in the background: started by the real command, found by their pids, and ended with the test."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod.contract import runtime
from corepod.local.client import Client

from tests.process.harness import APPS, CLIENT
from tests.procfs import alive, began, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ANY_PORT = ("--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0")
ONE = ("-w", "1", "--pin", "never", "--standby", "none")
TWO = ("-w", "2", "--pin", "never", "--standby", "none")


class Machine:
    """What a user has: a runtime folder, a state folder, and commands."""

    def __init__(self, folder: Path) -> None:
        self.state = folder / "state"
        self.run = Path(tempfile.mkdtemp(prefix="corepod-"))  # the path of a socket has 107 bytes
        mine = {"XDG_RUNTIME_DIR": str(self.run), "XDG_STATE_HOME": str(self.state), "HOME": str(folder)}
        mine["TMPDIR"] = str(folder)  # shared state is kept there, and outlives a pool
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("COREPOD_", "JOURNAL_", "COLUMNS", "LINES"))}
        self.environment = {**clean, **mine}
        # One of its own: commands also see the pools in /run/corepod, of other tests among them.
        self.name = f"shop-{secrets.token_hex(4)}"
        self.environment["COREPOD_NAME"] = self.name
        self._seen: dict[int, str] = {}

    def log(self, name: str = "") -> Path:
        return self.state / "corepod" / f"{name or self.name}.log"

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "corepod", *words]

    def corepod(
        self, *words: str, env: dict[str, str] | None = None, **options: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        options = {
            "cwd": APPS,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "timeout": 4 * DEADLINE,  # a start itself gives up after 90 s
            **options,
        }
        environment = {**self.environment, **(env or {})}
        return subprocess.run(self.command(*words), env=environment, text=True, check=False, **options)

    def start(self, app: str = "ok:app", *args: str, **options: Any) -> dict[str, Any]:
        """Start a pool that gets ready; returns what the command prints about it."""
        done = self.corepod("start", app, *ANY_PORT, "--json", *args, **options)
        assert done.returncode == 0, done.stderr
        started: dict[str, Any] = json.loads(done.stdout)
        self.look(started["pid"])
        return started

    def look(self, pid: int) -> None:
        """This supervisor, and all it has now, is gone at the end."""
        self._seen.update((one, began(one)) for one in [pid, *descendants(pid)])

    def client(self, name: str = "") -> Client:
        return Client(str(self.run / "corepod" / f"{name or self.name}.sock"))

    def status(self, name: str = "") -> dict[str, Any]:
        found = until(self.client(name).status, f"{name or self.name} answers")
        assert found is not None
        return found

    def until_log(self, text: str, count: int = 1) -> str:
        def read() -> str:
            with contextlib.suppress(FileNotFoundError):  # not yet, or not for the moment: it rotates
                return self.log().read_text(errors="replace")
            return ""

        until(lambda: read().count(text) >= count, lambda: f"{text!r} {count} times in the log:\n{read()}")
        return read()

    def stop(self, pid: int) -> None:
        self.look(pid)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
        until(lambda: not alive(pid), f"the end of {pid}")

    def living(self) -> list[int]:
        return [pid for pid, since in self._seen.items() if alive(pid) and began(pid) == since]

    def supervisors(self) -> list[int]:
        """Those that have this user's folders in their environment, found or not."""
        mark = f"XDG_RUNTIME_DIR={self.run}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes()
                if b"supervisor" in words and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return [pid for pid in found if alive(pid)]

    def close(self) -> None:
        for pid in self.supervisors():
            self.look(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        with contextlib.suppress(AssertionError):
            until(lambda: not (self.living() or self.supervisors()), "gone")
        left = [*self.living(), *self.supervisors()]
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.run, ignore_errors=True)
        assert not left, f"processes left behind: {left}"


@contextlib.contextmanager
def machine(folder: Path) -> Iterator[Machine]:
    made = Machine(folder)
    try:
        yield made
    finally:
        made.close()


def get(started: dict[str, Any], path: str = "/") -> Any:
    return CLIENT.get(f"http://{started['binds'][0]}{path}").json()


def sockets(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "corepod").glob(f"*{runtime.SUFFIX}"))
