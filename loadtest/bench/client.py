"""The open-loop client: requests come when they come. Raw sockets, one thread, one epoll, so that it costs little."""

from __future__ import annotations

import errno
import select
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

READ = 65536


@dataclass
class Sample:
    """One request. Times are seconds on CLOCK_MONOTONIC."""

    due: float  # when it should have been sent
    sent: float = 0.0
    done: float = 0.0
    outcome: str = "timeout"  # ok, refused, reset, error (another answer than 200) or timeout
    body: bytes = b""

    @property
    def latency(self) -> float:
        """From when it was due: a client that is late must not hide a server's pause."""
        return self.done - self.due


def request(path: str, *, close: bool, body: bytes = b"") -> bytes:
    """A GET, or a POST with this body."""
    head = b"%b %b HTTP/1.1\r\nHost: 127.0.0.1\r\n" % (b"POST" if body else b"GET", path.encode())
    head += b"Content-Length: %d\r\n" % len(body) if body else b""
    return head + (b"Connection: close\r\n\r\n" if close else b"\r\n") + body


def get(port: int, path: str = "/", timeout: float = 5.0) -> bytes:
    """The body of a 200 on a connection of its own. Raises OSError for everything else."""
    with socket.create_connection(("127.0.0.1", port), timeout=timeout) as sock:
        sock.sendall(request(path, close=True))
        answer = b"".join(iter(lambda: sock.recv(READ), b""))
    if b" 200 " not in answer[:16]:
        raise OSError(f"answered {answer[:80]!r}")
    return answer.partition(b"\r\n\r\n")[2]


def complete(answer: bytes) -> bool:
    """Whether a whole response with a Content-Length is there."""
    head, found, body = answer.partition(b"\r\n\r\n")
    if not found:
        return False
    at = head.lower().find(b"content-length:")
    return at >= 0 and len(body) >= int(head[at + 15 :].split(b"\r\n", 1)[0])


class OpenLoop:
    """Sends a request on a new connection at each of `times` (seconds from now), whatever the answers do.

    `acts` are run at their times in between, on the same clock: kill a worker at 0.2.
    """

    def __init__(
        self, port: int, path: str, times: Sequence[float], acts: Sequence[tuple[float, Callable[[], None]]] = ()
    ) -> None:
        self._address, self._request = ("127.0.0.1", port), request(path, close=True)
        self.samples = [Sample(due) for due in times]
        self._acts = list(acts)
        self._epoll = select.epoll()
        self._open: dict[int, tuple[socket.socket, Sample]] = {}

    def run(self, patience: float, enough: Callable[[Sample], bool] = lambda sample: False) -> list[Sample]:
        """All samples; what has no answer `patience` seconds after the last was due is a timeout.

        Ends early when `enough` says so of an answered one.
        """
        start = time.monotonic() + 0.001
        for sample in self.samples:
            sample.due += start
        agenda = [(sample.due, 1, index) for index, sample in enumerate(self.samples)]
        agenda += [(start + offset, 0, index) for index, (offset, _) in enumerate(self._acts)]
        agenda.sort(reverse=True)
        end = agenda[0][0] + patience
        try:
            while (agenda or self._open) and (now := time.monotonic()) < end:
                if agenda and agenda[-1][0] <= now:
                    _, kind, index = agenda.pop()
                    if kind:
                        self._send(self.samples[index])
                    else:
                        self._collect(0.0)
                        self._acts[index][1]()
                elif any(map(enough, self._collect((agenda[-1][0] if agenda else end) - now))):
                    break
        finally:
            for sock, _ in self._open.values():
                sock.close()
            self._epoll.close()
        return [sample for sample in self.samples if sample.sent]

    def _send(self, sample: Sample) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sample.sent = time.monotonic()
        code = sock.connect_ex(self._address)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            self._end(sample, "refused" if code == errno.ECONNREFUSED else "reset")
            return
        self._open[sock.fileno()] = (sock, sample)
        # On loopback the handshake is over by now; where it isn't, EPOLLOUT tells.
        self._epoll.register(sock, select.EPOLLIN if self._write(sock) else select.EPOLLIN | select.EPOLLOUT)

    def _write(self, sock: socket.socket) -> bool:
        try:
            sock.send(self._request)
        except BlockingIOError:
            return False
        except OSError:
            pass  # its reason is read with the answer
        return True

    def _collect(self, timeout: float) -> list[Sample]:
        # epoll's own timeout is rounded up to milliseconds; that of select isn't.
        if timeout > 0 and not select.select([self._epoll], [], [], timeout)[0]:
            return []
        ended = []
        for fd, mask in self._epoll.poll(0):
            sock, sample = self._open[fd]
            if mask & select.EPOLLOUT and not mask & (select.EPOLLERR | select.EPOLLHUP):
                self._write(sock)
                self._epoll.modify(fd, select.EPOLLIN)
            elif self._read(sock, sample):
                self._epoll.unregister(fd)
                del self._open[fd]
                self._release(sock, sample)
                ended.append(sample)
        return ended

    def _release(self, sock: socket.socket, sample: Sample) -> None:
        sock.close()

    def _read(self, sock: socket.socket, sample: Sample) -> bool:
        try:
            data = sock.recv(READ)
        except BlockingIOError:
            return False
        except ConnectionRefusedError:
            self._end(sample, "refused")
            return True
        except OSError:
            self._end(sample, "reset")
            return True
        sample.body += data
        if data and not complete(sample.body):
            return False
        whole, good = complete(sample.body), b" 200 " in sample.body[:16]
        sample.body = sample.body.partition(b"\r\n\r\n")[2]
        self._end(sample, "ok" if whole and good else "error" if whole else "reset")
        return True

    @staticmethod
    def _end(sample: Sample, outcome: str) -> None:
        sample.outcome, sample.done = outcome, time.monotonic()
