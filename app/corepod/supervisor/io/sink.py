"""A descriptor that is written without ever blocking: PID 1 must not wait for whoever reads its log."""

from __future__ import annotations

import os
import select
import socket
import stat
from collections import deque

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.supervisor.io.loop import Loop

QUEUE_BYTES = 256 * 1024
# POSIX promises that a pipe which polls writable takes this much without blocking.
PIPE_BUF = select.PIPE_BUF


class Sink:
    """What the descriptor doesn't take waits, up to a bound; what goes beyond it is dropped and counted."""

    def __init__(self, fd: int, loop: Loop) -> None:
        self._loop = loop
        self._queue: deque[bytes] = deque()
        self._size = 0
        self._watching = False
        self.dropped = 0
        self.owned_up = 0  # of these, how many the log itself has told of
        self._fd, self._put = _open_nonblocking(fd)
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLOUT)

    @property
    def full(self) -> bool:
        """Whether the descriptor takes nothing now, because nobody reads it."""
        return not self._poll.poll(0)

    @property
    def waiting(self) -> bool:
        """Whether something is queued that it hasn't taken."""
        return bool(self._queue)

    def write(self, data: bytes) -> None:
        if self._queue and self._size + len(data) > QUEUE_BYTES:  # one line has room, however long it is
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
            if self.full:
                break
            try:
                written += self._put(data[written : written + PIPE_BUF])
            except BlockingIOError:
                break
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
            return fd, lambda data: _write_shared(fd, data)  # another user's, or a pipe that has lost its reader
    return fd, lambda data: os.write(fd, data)


def _write_shared(fd: int, data: bytes) -> int:
    """Write to a description that is others' too and may not be opened anew. Workers write to the same pipe: it may
    have filled up since it was polled."""
    try:
        return os.pwritev(fd, [data], -1, os.RWF_NOWAIT)
    except BlockingIOError:
        raise
    except (OSError, NotImplementedError, AttributeError):
        # Kernels and libraries that can't: having polled and writing little at once is the next best.
        return os.write(fd, data)
