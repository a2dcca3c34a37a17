"""Files that tell the surroundings of a pool something by being there: its pid file and its ready file."""

from __future__ import annotations

import os
import stat

from corepod.supervisor.health.procfs import read

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODE = 0o644
LONGEST = 32  # bytes of a file that may be replaced: a longer one is no mark


class MarkError(Exception):
    """The file can't be made, or isn't ours to replace."""


class PidFile:
    """Holds this process's number and a newline, from now until `remove`."""

    def __init__(self, path: str) -> None:
        """Raises MarkError where the file is that of another pool which lives, or can't be written."""
        self._path = path
        if os.path.lexists(path):
            self._check_leftover()
        _write(path, f"{os.getpid()}\n")

    def _check_leftover(self) -> None:
        text = _content(self._path)
        if text is None or (text.strip() and not text.strip().isdecimal()):
            raise MarkError(f"{self._path} is there and is no pid file; name another one, or remove it")
        pid = int(text.strip() or 0)
        # The number of a pool that was killed may be another program's by now.
        if pid not in (0, os.getpid()) and read(f"/proc/{pid}/comm").strip() == "corepod":
            raise MarkError(f"{self._path} belongs to another pool that runs, with pid {pid}; stop it, or name another")

    def remove(self) -> None:
        """Unless another pool has made it its own meanwhile."""
        if (_content(self._path) or "").strip() == str(os.getpid()):
            _unlink(self._path)


class ReadyFile:
    """An empty file that is there exactly while `ready` says so."""

    def __init__(self, path: str, ready: Callable[[], bool]) -> None:
        """Removes what a pool that was killed has left. Raises MarkError where something else is there, or the folder
        can't be written."""
        self._path, self._ready, self._there = path, ready, False
        if os.path.lexists(path) and _content(path) is None:
            raise MarkError(f"{path} is there and is no ready file; name another one, or remove it")
        _write(path, "")  # now, so that a folder that can't be written shows at the start
        _unlink(path)

    def deadline(self) -> None:
        """Only what happens in the pool decides."""

    def look(self, now: float) -> None:
        """Make it or remove it, if that has changed."""
        ready = self._ready()
        if ready == self._there:
            return
        self._there = ready
        if not ready:
            _unlink(self._path)
            return
        try:
            _write(self._path, "")
        except MarkError:
            pass  # the folder was fine at the start, and the pool is none the worse for it

    def remove(self) -> None:
        """The pool is gone."""
        if self._there:
            _unlink(self._path)


def _content(path: str) -> str | None:
    """None where it isn't a short regular file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        # Anything can be read from /dev/null, too, which must not be replaced.
        data = os.read(fd, LONGEST + 1) if stat.S_ISREG(os.fstat(fd).st_mode) else None
    except OSError:
        return None
    finally:
        os.close(fd)
    return data.decode("utf-8", "replace") if data is not None and len(data) <= LONGEST else None


def _write(path: str, text: str) -> None:
    """All of it or nothing, in the place of what was there."""
    beside = f"{path}.{os.getpid()}"
    try:
        _unlink(beside)
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        try:
            os.fchmod(fd, MODE)  # whatever the umask
            os.write(fd, text.encode())
        finally:
            os.close(fd)
        os.rename(beside, path)
    except OSError as error:
        _unlink(beside)
        raise MarkError(f"{path} can't be written ({error.strerror})") from error


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
