"""Lines on standard error and standard output that can never stop the supervisor: a full or closed pipe costs lines."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import stat
import time
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.supervisor.loop import Loop

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
QUEUE_BYTES = 256 * 1024
# POSIX promises that a pipe which polls writable takes this much without blocking.
PIPE_BUF = select.PIPE_BUF


class Sink:
    """A descriptor that is written without ever blocking; what it doesn't take waits, up to a bound, and is dropped."""

    def __init__(self, fd: int, loop: Loop) -> None:
        self._loop = loop
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._watching = False
        self.dropped = 0
        self._fd, self._put = _open_nonblocking(fd)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    def write(self, data: bytes) -> None:
        if self._size + len(data) > QUEUE_BYTES:
            self.dropped += 1
            return
        self._queue.append(data)
        self._size += len(data)
        if not self._watching:
            self.flush()

    def flush(self) -> None:
        """Write as much as is taken now; the rest when the descriptor says so."""
        while self._queue:
            data = self._queue.popleft()
            self._size -= len(data)
            try:
                written = self._attempt(data)
            except OSError:
                # Closed reader, full disk: the line is lost and the next one may do better.
                self.dropped += 1
                continue
            if written < len(data):
                self._queue.appendleft(data[written:])
                self._size += len(data) - written
                break
        self._watch(bool(self._queue))

    def _attempt(self, data: bytes) -> int:
        written = 0
        while written < len(data):
            ready = self._poll.poll(0)
            if not ready:
                break
            try:
                written += self._put(data[written : written + PIPE_BUF])
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno == errno.EINTR:
                    continue
                raise
        return written

    def _watch(self, wanted: bool) -> None:
        if wanted and not self._watching:
            try:
                self._loop.add(self._fd, select.EPOLLOUT, lambda mask: self.flush())
            except OSError:
                return  # a regular file: always writable, never in an epoll
        elif self._watching and not wanted:
            self._loop.remove(self._fd)
        self._watching = wanted


def _open_nonblocking(fd: int) -> tuple[int, Callable[[bytes], int]]:
    """A way to write to what `fd` is that doesn't block, without setting O_NONBLOCK on the description of `fd` itself:
    that is shared with the terminal's shell and with every worker."""
    mode = os.fstat(fd).st_mode
    if stat.S_ISSOCK(mode):  # journald
        journal = socket.socket(fileno=os.dup(fd))
        return journal.fileno(), lambda data: journal.send(data, socket.MSG_DONTWAIT)
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            fd = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError:
            pass  # another user's pipe: polling first and writing little at once is the next best
    return fd, lambda data: os.write(fd, data)


class Log:
    """The supervisor's own lines, and those of the workers of a local pool."""

    def __init__(self, loop: Loop, *, form: str, level: str) -> None:
        self.err, self.out = Sink(2, loop), Sink(1, loop)
        self._json = form == "json"
        self._least = LEVELS[level]

    @property
    def dropped(self) -> int:
        return self.err.dropped + self.out.dropped

    def debug(self, message: str, **who: object) -> None:
        self._line("debug", message, who)

    def info(self, message: str, **who: object) -> None:
        self._line("info", message, who)

    def warning(self, message: str, **who: object) -> None:
        self._line("warning", message, who)

    def error(self, message: str, **who: object) -> None:
        self._line("error", message, who)

    def relay(self, sink: Sink, line: bytes, who: dict[str, object]) -> None:
        """One line of a worker's output, with its number, core and pid."""
        if self._json:
            stream = "stdout" if sink is self.out else "stderr"
            record = {
                "time": _timestamp(),
                "stream": stream,
                **who,
                "message": line.decode("utf-8", "replace"),
            }
            sink.write(json.dumps(record).encode() + b"\n")
        else:
            sink.write(f"{_tag(who)} | ".encode() + line + b"\n")

    def _line(self, level: str, message: str, who: dict[str, object]) -> None:
        if LEVELS[level] < self._least:
            return
        if self._json:
            text = json.dumps({"time": _timestamp(), "level": level, **who, "message": message})
        else:
            tag = f"[{_tag(who)}] " if who else ""
            text = f"{_timestamp()} {level.upper():7} {tag}{message}"
        self.err.write(text.encode("utf-8", "backslashreplace") + b"\n")


def _tag(who: dict[str, object]) -> str:
    return " ".join(f"{key} {value}" for key, value in who.items() if value is not None)


def _timestamp() -> str:
    now = time.time()
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}Z"
