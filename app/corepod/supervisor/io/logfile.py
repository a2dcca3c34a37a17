"""The log in a file: bounded in size, rotated without losing or tearing a line, and never a reason to stop."""

from __future__ import annotations

import fcntl
import os
import stat
import time

from corepod.supervisor.io.sink import Sink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.io.loop import Loop

DEVICES = ("/dev/", "/proc/")
PAUSE = 1.0  # seconds between two attempts to open a file that can't be opened
MODE, FOLDER_MODE = 0o640, 0o750
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK


def open_log(path: str, loop: Loop, *, max_size: int, files: int, streams: bool) -> tuple[Sink, Sink, LogFile | None]:
    """Where lines for standard output and for standard error go, and the file if it is one.

    A pipe or a device (/dev/null) is written like the supervisor's own streams, for it has no size to bound, and so is
    another name of a stream (/dev/stdout), which isn't ours to rename.
    `streams` makes the process's standard output and error the file, too. Raises OSError.
    """
    if path.startswith(DEVICES) or (os.path.exists(path) and not stat.S_ISREG(os.stat(path).st_mode)):
        fd = os.open(path, FLAGS)
        return Sink(fd, loop), Sink(fd, loop), None
    file = LogFile(path, max_size=max_size, files=files, streams=streams)
    return FileSink(file), FileSink(file), file


class LogFile:
    """`path` is the present file, `path.1` the one before it, and so on.

    A line is written with one call, whole or not at all. What can't be written is lost, for the caller to count.
    """

    def __init__(self, path: str, *, max_size: int, files: int, streams: bool) -> None:
        """`max_size` in bytes, 0 for no limit; `files` are kept, the present one included. Raises OSError."""
        self._path, self._max_size, self._files, self._streams = path, max_size, files, streams
        self._fd = -1
        self._again_at = 0.0
        self._open()

    def append(self, line: bytes) -> bool:
        """Write a line; returns whether it is in the file."""
        size = self._size()
        if self._max_size and size and size + len(line) > self._max_size:
            size = self._rotate(size)
        if self._fd < 0:
            return False
        try:
            written = os.write(self._fd, line)
        except OSError:
            return False
        if written < len(line):  # the disk is full now: half a line would be joined to the next one
            self._cut(size)
        return written == len(line)

    def reopen(self) -> None:
        """Go on in the file that has the name now, because the present one was renamed. Raises OSError."""
        self._open()

    def _size(self) -> int:
        """Bytes in the file, which others may have emptied (copytruncate) or removed: then it is made again."""
        if self._fd >= 0:
            found = os.fstat(self._fd)
            if found.st_nlink:
                return found.st_size
            os.close(self._fd)
            self._fd = -1
        if (now := time.monotonic()) >= self._again_at:
            self._again_at = now + PAUSE
            try:
                self._open()
            except OSError:
                return 0
        return os.fstat(self._fd).st_size if self._fd >= 0 else 0

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self._path) or ".", FOLDER_MODE, exist_ok=True)
        fd = os.open(self._path, FLAGS | os.O_CREAT, MODE)
        try:
            # Several pools may write to a file that was chosen for them. By the lock `corepod start` sees that the
            # file, which it would choose by the pool's name, is another one's.
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            pass
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = fd
        if self._streams:
            # What a C library or the interpreter itself writes belongs into the log, too.
            os.dup2(fd, 1)
            os.dup2(fd, 2)

    def _rotate(self, size: int) -> int:
        """Begin a new file; returns its size. Where the folder can't be written the present one grows."""
        try:
            # After somebody else's rename the name may be another file's, or nobody's until SIGUSR2 comes.
            if os.path.samestat(os.lstat(self._path), os.fstat(self._fd)):
                self._put_aside()
            self._open()
        except OSError:
            return size
        return os.fstat(self._fd).st_size

    def _put_aside(self) -> None:
        if self._files == 1:
            os.ftruncate(self._fd, 0)
        for number in range(self._files - 1, 0, -1):
            before = f"{self._path}.{number - 1}" if number > 1 else self._path
            if os.path.lexists(before):
                os.rename(before, f"{self._path}.{number}")

    def _cut(self, size: int) -> None:
        try:
            os.ftruncate(self._fd, size)
        except OSError:
            pass


class FileSink(Sink):
    """One stream of the log, in the file."""

    def __init__(self, file: LogFile) -> None:
        self._file = file
        self.dropped = self.owned_up = 0

    @property
    def full(self) -> bool:
        return False

    @property
    def waiting(self) -> bool:
        return False  # a file takes a line at once, or never

    def write(self, data: bytes) -> None:
        if not self._file.append(data):
            self.dropped += 1

    def flush(self) -> None:
        pass
