"""A terminal with a program in it: what it has written, and what is on its screen now."""

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
from typing import TYPE_CHECKING, Any

import pyte

from tests.process.harness import APPS
from tests.procfs import alive, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Sequence

CUT = b"\x1b[?7l"  # a table begins with it; behind the opposite the cursor goes back to its beginning
HALF_DRAWN = re.compile(rb"\x1b\[\?7l(?!.*\x1b\[\?7h(\x1b\[\d+A)?\r)", re.DOTALL)
ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[a-zA-Z]|[=>])")


class Folding(pyte.Screen):
    """A screen that folds its lines anew when it gets narrower, as most terminals do; pyte's own cuts them off."""

    def narrow(self, columns: int) -> None:
        parts: list[str] = []
        for number, line in enumerate(self.display):
            if number == self.cursor.y:
                row = len(parts)
            parts += [line[at : at + columns] for at in range(0, max(1, len(line.rstrip())), columns)]
        while parts and not parts[-1].strip():
            parts.pop()
        gone = max(0, max(len(parts), row + 1) - self.lines)
        hidden = self.cursor.hidden
        self.resize(self.lines, columns)
        self.reset()
        for number, part in enumerate(parts[gone:]):
            self.cursor_position(number + 1, 1)
            self.draw(part.rstrip())
        self.cursor_position(max(0, row - gone) + 1, 1)
        self.cursor.hidden = hidden


class Terminal:
    """A program with a terminal of its own; by default `corepod run` with these arguments."""

    def __init__(self, *args: str, columns: int = 160, lines: int = 40, command: Sequence[str] = ()) -> None:
        self._master, slave = pty.openpty()
        self._screen = Folding(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._lock = threading.Lock()
        self._set_size(columns)
        self.before = self.modes  # the program may have changed them as soon as it is there
        words = command or [sys.executable, "-m", "corepod", "run", *args]
        # Its size and its colours are its own, whatever a test runner says of its.
        ours = ("COREPOD_", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
        clean = {k: v for k, v in os.environ.items() if not k.startswith(ours)}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *words],
            cwd=APPS,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**clean, "TERM": "xterm", "PS1": "$ "},
        )
        os.close(slave)
        self._written = b""
        self._reader = threading.Thread(target=self._read, daemon=True)  # waits as long as anybody has the terminal
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # EIO: the last process has closed the terminal
            while data := os.read(self._master, 65536):
                with self._lock:
                    self._written += data
                    self._stream.feed(data)

    def _set_size(self, columns: int) -> None:
        ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", self._screen.lines, columns, 0, 0))

    # What was written, and what is seen

    @property
    def raw(self) -> str:
        return self._written.decode(errors="replace")

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.raw)

    def shows(self, pattern: str) -> re.Match[str]:
        try:
            match = until(lambda: re.search(pattern, self.text), f"{pattern!r} on the terminal")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.text}") from None  # what is there at the end, not at the beginning
        assert match is not None
        return match

    def ended(self, deadline: float = DEADLINE) -> int:
        """The exit code, once all that was written has been read."""
        code = self.process.wait(deadline)
        self._reader.join(deadline)
        return code

    @property
    def screen(self) -> list[str]:
        """The lines on the screen now."""
        with self._lock:
            return [line.rstrip() for line in self._screen.display]

    @property
    def modes(self) -> list[Any]:
        """Whether keys are shown, come one by one, ...: what `stty -a` shows."""
        return termios.tcgetattr(self._master)

    @property
    def cursor_hidden(self) -> bool:
        with self._lock:
            return bool(self._screen.cursor.hidden)

    # What a person does

    def type(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def resize(self, columns: int) -> None:
        """Make the window wider or narrower; the program gets SIGWINCH."""
        until(lambda: self._resized(columns), lambda: f"no half of a table on the screen: {self._written[-4096:]!r}")

    def _resized(self, columns: int) -> bool:
        """Not while a table has come in part: folded then, it has more lines than its other part goes up again."""
        with self._lock:
            if HALF_DRAWN.search(self._written, max(0, self._written.rfind(CUT))):
                return False
            if columns < self._screen.columns:
                self._screen.narrow(columns)
            else:
                self._screen.resize(self._screen.lines, columns)
            self._set_size(columns)
            return True

    def family(self) -> list[int]:
        return descendants(self.process.pid)

    def close(self) -> None:
        family = self.family()
        try:
            if self.process.poll() is None:
                self.process.terminate()
                self.process.wait(DEADLINE)
            until(lambda: not any(map(alive, family)), f"gone: {family}")
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pid in filter(alive, family):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._reader.join(DEADLINE)
            os.close(self._master)
