"""The file of the access log, which every worker writes itself: whole lines, at the file's end, whoever renames it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK = 1.0  # seconds between two looks whether the file still has its name
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
MODE = 0o640


class AccessFile:
    """A stream for a handler of `logging`, which calls it under its lock. Opened by the first line: a process that is
    forked has opened none. What can't be written is lost, and said once: no request fails for it."""

    def __init__(self, path: str, say: Callable[[str], None]) -> None:
        self._path, self._say = path, say
        self._fd = -1
        self._identity = (0, 0)
        self._look_at = 0.0
        self._torn = False  # the last line isn't there as a whole
        self._told: dict[str, bool] = {}

    def write(self, line: str) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + LOOK
            self._look()
        if self._fd < 0:
            return
        data = line.encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        try:
            self._torn = os.write(self._fd, data) < len(data)
            self._told["written"] = False
        except OSError as error:
            self._tell("written", error)

    def flush(self) -> None:
        pass  # nothing is kept back

    def _look(self) -> None:
        """Go on in the file that has the name now, or make it."""
        try:
            found = os.stat(self._path)
            if (found.st_dev, found.st_ino) == self._identity:
                return
        except OSError:
            pass
        try:
            fd = os.open(self._path, FLAGS, MODE)
        except OSError as error:
            self._tell("opened", error)
            return
        self._told["opened"] = False
        if self._fd >= 0:
            os.close(self._fd)
        found = os.fstat(fd)
        self._fd, self._identity = fd, (found.st_dev, found.st_ino)

    def _tell(self, what: str, error: OSError) -> None:
        if not self._told.get(what):
            self._told[what] = True
            self._say(f"the access log {self._path} can't be {what}: {error.strerror}")


def check(path: str) -> None:
    """Raises OSError where this process can't write to the file."""
    os.close(os.open(path, FLAGS, MODE))
