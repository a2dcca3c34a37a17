"""`corepod run` on a terminal: the table, the log above it, Ctrl-C, and its own sudden end."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import threading
from fcntl import ioctl
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.process.harness import APPS
from tests.procfs import alive, comm, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Iterator

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """`corepod run` with a terminal of its own, and everything it has written there."""

    def __init__(self, *args: str) -> None:
        self._master, slave = pty.openpty()
        ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 160, 0, 0))
        command = ["setsid", "--ctty", sys.executable, "-m", "corepod", "run", *args]
        # The size is the terminal's own, whatever a test runner says of its.
        ours = ("COREPOD_", "COLUMNS", "LINES")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.process = subprocess.Popen(
            command, cwd=APPS, stdin=slave, stdout=slave, stderr=slave, env={**clean, "TERM": "xterm"}
        )
        os.close(slave)
        self._written = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the last process has closed the terminal
            while data := os.read(self._master, 65536):
                self._written += data

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self._written.decode(errors="replace"))

    def shows(self, pattern: str) -> re.Match[str]:
        match = until(lambda: re.search(pattern, self.text), f"{pattern!r} on the terminal:\n{self.text}")
        assert match is not None
        return match

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def family(self) -> list[int]:
        return descendants(self.process.pid)

    def close(self) -> None:
        family = self.family()
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DEADLINE)
        try:
            until(lambda: not any(map(alive, family)), f"gone: {family}", 10)
        finally:
            for pid in filter(alive, family):
                os.kill(pid, signal.SIGKILL)
            self._reader.join(DEADLINE)
            os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    shown = Terminal("ok:app", "--bind", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--workers", "1")
    yield shown
    shown.close()


def worker_shown(terminal: Terminal) -> int:
    """The pid in the newest row of slot 0."""
    terminal.shows(r"│ +0 │ +(\d+|-) │ +\d+ │ ready")
    return int(re.findall(r"│ +0 │ +(?:\d+|-) │ +(\d+) │ ready", terminal.text)[-1])


def test_the_table_shows_the_slot_and_its_restart_and_ctrl_c_drains(terminal: Terminal) -> None:
    pid = worker_shown(terminal)
    for column in ("slot", "core", "pid", "state", "restarts", "requests", "cpu", "memory"):
        assert column in terminal.text
    terminal.shows(rf"pid {pid}\] ready")  # the log is there, too
    port = terminal.shows(r"on 127\.0\.0\.1:(\d+)")[1]
    httpx.get(f"http://127.0.0.1:{port}/say?text=said")
    terminal.shows(rf"pid {pid} \| said")  # named, for a terminal has no other way to tell
    os.kill(pid, signal.SIGKILL)
    terminal.shows("died: signal SIGKILL")
    terminal.shows(r"│ +0 │ +(\d+|-) │ +\d+ │ ready +│ +1 │")
    assert worker_shown(terminal) != pid
    terminal.type(b"\x03")
    assert terminal.process.wait(DEADLINE) == 0
    terminal.shows("SIGTERM: draining")


def test_no_worker_is_in_the_terminals_process_group(terminal: Terminal) -> None:
    worker_shown(terminal)
    groups = {pid: os.getpgid(pid) for pid in terminal.family()}
    assert len(groups) >= 3
    assert os.getpgid(terminal.process.pid) not in groups.values()


def test_the_pool_ends_when_its_terminal_side_is_killed(terminal: Terminal) -> None:
    worker_shown(terminal)
    family = terminal.family()
    assert "corepod" in map(comm, family)
    terminal.process.kill()
    until(lambda: not any(map(alive, family)), f"gone with their terminal: {family}")


def test_a_fault_is_shown_and_its_exit_code_passed_on() -> None:
    shown = Terminal("nowhere:app", "--bind", "127.0.0.1:0", "--admin", "none")
    try:
        assert shown.process.wait(DEADLINE) == 4
        shown.shows("there is no module 'nowhere'")
    finally:
        shown.close()
