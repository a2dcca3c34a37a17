"""The log files of pools: where they are, their last lines, and what is added to them."""

from __future__ import annotations

import os
from typing import IO, TYPE_CHECKING

from corepod.contract import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

SUFFIX = ".log"
SYSTEM = "/var/log/corepod"
BLOCK = 1 << 16


def folders(environ: Mapping[str, str], uid: int) -> list[str]:
    """Where log files of pools in the background are, the first one that can be written counts."""
    found = []
    if state := environ.get("XDG_STATE_HOME", ""):
        found.append(os.path.join(state, "corepod"))
    if uid == 0:
        found.append(SYSTEM)
    elif home := environ.get("HOME", ""):
        found.append(os.path.join(home, ".local", "state", "corepod"))
    places = [place.rstrip("/") for place in runtime.places(environ, uid) if not place.startswith("@")]
    return [folder for folder in [*found, *places] if os.path.isabs(folder)]


def choose(name: str) -> str | None:
    """The path of the log file of a pool with this name; None where none can be written."""
    for folder in folders(os.environ, os.geteuid()):
        path = os.path.join(folder, name + SUFFIX)
        if not runtime.make_folder(folder, public=folder in (SYSTEM, runtime.SYSTEM.rstrip("/"))):
            continue
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o640))
        except OSError:
            continue
        return path
    return None


def existing() -> dict[str, str]:
    """The log files that are found by the names of their pools."""
    found: dict[str, str] = {}
    for folder in folders(os.environ, os.geteuid()):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            if name.endswith(SUFFIX):
                found.setdefault(name.removesuffix(SUFFIX), os.path.join(folder, name))
    return found


def is_there(path: str) -> bool:
    """Whether a log can be read at this path, which is nobody's while it rotates."""
    return os.path.isfile(path) or (not os.path.lexists(path) and os.path.isfile(f"{path}.1"))


class Follower:
    """Reads a log file from the end it has now, across rotation; the file may also be made or removed meanwhile."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._rest = b""
        # When the log rotates, there is no present file for a moment: the last one has been renamed already.
        self._file = _open(path) or _open(f"{path}.1")
        self._older: set[tuple[int, ...]] = set()  # the files before ours, when it was seen last
        if self._file is not None:
            self._file.seek(0, os.SEEK_END)
            self._older = self._from(1 + (self._place() or 0))

    def before(self) -> Iterator[bytes]:
        """The lines that were there when this began, the last one first, those of older files included."""
        seen: list[os.stat_result] = []
        with_end = [] if self._file is None else [(self._file.fileno(), self._file.tell())]
        # All are opened before one is read: what rotates meanwhile shows up twice, and is left out by its inode.
        older = [file for number in range(1, 1 + _last(self._path)) if (file := _open(f"{self._path}.{number}"))]
        try:
            for fd, end in [*with_end, *((file.fileno(), os.fstat(file.fileno()).st_size) for file in older)]:
                about = os.fstat(fd)
                if not any(os.path.samestat(about, other) for other in seen):
                    seen.append(about)
                    yield from _backwards(fd, end)
        finally:
            for file in older:
                file.close()

    def lines(self) -> Iterator[bytes]:
        """The lines that have been completed since the last call."""
        while True:
            yield from self._drain()
            following = self._following()
            if following is None:
                return
            yield from self._drain()  # what was written between the last read and the rotation
            if self._rest:
                yield self._rest
            self.close()
            self._file, self._rest = following, b""

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _drain(self) -> Iterator[bytes]:
        if self._file is None:
            return
        if os.fstat(self._file.fileno()).st_size < self._file.tell():
            self._file.seek(0)  # emptied (copytruncate, or one file only)
            self._rest = b""
        while data := self._file.read(BLOCK):
            *lines, self._rest = (self._rest + data).split(b"\n")
            yield from lines

    def _following(self) -> IO[bytes] | None:
        """The file after ours, None if ours is still the last one."""
        while True:
            at = self._place()
            number = self._newer(at)
            file = None if number is None else _open(self._name(number))
            if file is None or number is None:
                return None
            # Renamed by another program, ours is written until SIGUSR2: the first line in the next one says that it
            # isn't any more.
            if os.fstat(file.fileno()).st_size and self._place() == at:
                self._older = self._from(number + 1)
                return file
            file.close()
            if self._place() == at:
                return None

    def _newer(self, at: int | None) -> int | None:
        """The number of the file after ours, which has the number `at`, or has been renamed, or removed."""
        if at == 0:
            self._older = self._from(1)
            return None
        if at is not None:
            return at - 1
        known = reversed(range(1 + _last(self._path)))
        return next((n for n in known if (found := _identity(self._name(n))) and found not in self._older), None)

    def _from(self, number: int) -> set[tuple[int, ...]]:
        """What identifies the files from this number on."""
        names = (self._name(n) for n in range(number, 1 + _last(self._path)))
        return {found for name in names if (found := _identity(name))}

    def _name(self, number: int) -> str:
        return f"{self._path}.{number}" if number else self._path

    def _place(self) -> int | None:
        """The number in the name that our file has now; 0 for the present one, None if it has none of these names."""
        if self._file is None:
            return None
        ours = os.fstat(self._file.fileno())
        for number in range(1 + _last(self._path)):
            try:
                if os.path.samestat(ours, os.stat(self._name(number))):
                    return number
            except OSError:
                continue
        return None


def _last(path: str) -> int:
    """The highest number of a rotated file."""
    folder, name = os.path.split(path)
    try:
        ends = [other.removeprefix(name + ".") for other in os.listdir(folder or ".") if other.startswith(name + ".")]
    except OSError:
        return 0
    return max((int(end) for end in ends if end.isascii() and end.isdecimal() and len(end) < 6), default=0)


def _identity(path: str) -> tuple[int, ...] | None:
    """That of a file which isn't written any more: the number of one that was removed may be another file's by now."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _open(path: str) -> IO[bytes] | None:
    try:
        file = open(path, "rb", buffering=0)
    except OSError:
        return None
    return file


def _backwards(fd: int, end: int) -> Iterator[bytes]:
    rest = b""
    first = True
    while end > 0:
        start = max(0, end - BLOCK)
        data = os.pread(fd, end - start, start)
        head, *lines = (data + rest).split(b"\n")
        if first and lines and not lines[-1]:
            lines.pop()  # behind the last line break there is no line
        first = False
        yield from reversed(lines)
        rest, end = head, start
    if rest:
        yield rest
