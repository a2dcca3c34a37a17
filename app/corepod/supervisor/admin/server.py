"""The admin port: a small HTTP server in the supervisor's own loop. No client can cost it more than a bounded amount of
time, memory or descriptors. The content of its responses is in `resources`."""

from __future__ import annotations

import select
import socket

from corepod.contract import runtime
from corepod.contract.access import is_local
from corepod.supervisor.admin.resources import HEAD_MOST, Resources

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.admin.responses import Reply
    from corepod.supervisor.admin.status import PoolStatus
    from corepod.supervisor.io.loop import Loop

MOST = 16  # connections open at once
ACCEPTS = 16  # per wake-up; the rest waits for the next one, so that workers and signals get their turn
PATIENCE = 5.0  # seconds after which a connection is closed, whatever its client does
PAUSE = 1.0  # seconds without accepting after the system had no descriptor left
LEFTOVER_MOST = 256 * 1024  # bytes read behind a request before the connection is closed anyway


class AdminServer:
    """Accepts connections and closes those that are late or in the way. Without connections it costs nothing: no timer
    and no wake-up."""

    def __init__(self, loop: Loop, status: PoolStatus, *, status_public: bool, patience: float = PATIENCE) -> None:
        self.loop, self.patience = loop, patience
        self.resources = Resources(status, status_public=status_public)
        self.open: dict[int, AdminConnection] = {}  # by descriptor, the oldest first
        self._listeners: dict[socket.socket, bool] = {}
        self._resume_at: float | None = None

    def serve(self, sock: socket.socket, *, trusted: bool) -> None:
        """Serve a listening, non-blocking socket, which the caller keeps. `trusted`: its clients may see everything."""
        self._listeners[sock] = trusted
        self.loop.add(sock.fileno(), select.EPOLLIN, lambda mask: self._accept(sock))

    def expire(self, now: float) -> float | None:
        """Close connections past their deadline, and accept again after a pause.

        Returns when to call it again, None if there is no need.
        """
        making = self._go_on()
        for connection in list(self.open.values()):
            if now < connection.deadline:
                break  # all have the same time, and the oldest comes first
            connection.close()
        if self._resume_at is not None and now >= self._resume_at:
            self._resume_at = None
            self._accept_on(select.EPOLLIN)
        oldest = next(iter(self.open.values()), None)
        times = (self._resume_at, oldest.deadline if oldest else None, now if making else None)
        return min((t for t in times if t is not None), default=None)

    def _go_on(self) -> bool:
        """Make the next piece of each response, and send what is complete. Returns whether there is more to make."""
        if self.resources.making:
            self.resources.go_on()
            for connection in list(self.open.values()):
                connection.proceed()
        self.resources.forget()
        return self.resources.making

    def close(self) -> None:
        """Cut every connection and stop listening."""
        for connection in list(self.open.values()):
            connection.close()
        for sock in self._listeners:
            self.loop.remove(sock.fileno())
        self._listeners.clear()
        self._resume_at = None

    def _accept(self, sock: socket.socket) -> None:
        for _ in range(ACCEPTS):
            try:
                accepted, address = sock.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:
                # No descriptor or memory left (EMFILE, ENFILE, ENOBUFS ...). The connection stays in the queue, which
                # would wake this loop again and again.
                if self._make_room():
                    continue
                return self._pause()
            if len(self.open) >= MOST:
                self._make_room()
            if self._listeners[sock] and not _may_control(accepted):
                accepted.close()
                continue
            # Mostly its request has arrived already. Handled now, later connections can't push it out.
            local = sock.family == socket.AF_UNIX or is_local(address[0])
            connection = AdminConnection(self, accepted, local=local, trusted=self._listeners[sock])
            connection.proceed()
        return None

    def _pause(self) -> None:
        self._resume_at = self.loop.now() + PAUSE
        self._accept_on(0)

    def _accept_on(self, events: int) -> None:
        # Modified, not removed and added again: adding needs memory, of which there may be none.
        for sock in self._listeners:
            self.loop.modify(sock.fileno(), events)

    def _make_room(self) -> bool:
        """Close one connection, if there is one: the oldest without a complete request or with its whole response."""
        for connection in list(self.open.values()):
            connection.proceed()  # its request may just have come
            if not connection.answering:
                connection.close()
                return True
        # All of them are slow to read their responses.
        oldest = next(iter(self.open.values()), None)
        if oldest is not None:
            oldest.close()
        return oldest is not None


def _may_control(sock: socket.socket) -> bool:
    try:
        return runtime.may_control(runtime.peer(sock))
    except OSError:
        return False


class AdminConnection:
    """One exchange: read a head, write the response, discard what the client still sends, close."""

    __slots__ = (
        "_admin",
        "_events",
        "_leftover",
        "_local",
        "_received",
        "_reply",
        "_rest",
        "_sock",
        "_trusted",
        "deadline",
    )

    def __init__(self, admin: AdminServer, sock: socket.socket, *, local: bool, trusted: bool) -> None:
        sock.setblocking(False)
        self._admin, self._sock, self._local, self._trusted = admin, sock, local, trusted
        self.deadline = admin.loop.now() + admin.patience
        self._received = b""
        self._reply: Reply | None = None
        self._rest = memoryview(b"")  # of the response
        self._leftover = 0
        self._events = 0
        admin.open[sock.fileno()] = self

    @property
    def answering(self) -> bool:
        """Whether the request is complete and the response isn't sent yet."""
        return len(self._rest) > 0 or self._made_later

    @property
    def _made_later(self) -> bool:
        return self._reply is not None and not self._reply.data

    def proceed(self, mask: int = 0) -> None:
        """Do what is possible without waiting. The calls themselves show what the event was."""
        if self._made_later and mask & (select.EPOLLHUP | select.EPOLLERR):
            return self.close()
        try:
            self._step()
            if self._sock.fileno() >= 0:
                self._wait()
        except OSError:
            self.close()  # reset by its client, or no room in the epoll
        return None

    def close(self) -> None:
        """Close it, if it is open. The part of the response that the kernel has is still delivered."""
        fd = self._sock.fileno()
        if fd >= 0:
            self._admin.loop.remove(fd)
            del self._admin.open[fd]
            self._sock.close()

    def _step(self) -> None:
        try:
            if self._reply is None:
                self._read()
            elif self._made_later:
                self._begin(self._reply)
            elif self.answering:
                self._write(self._reply)
            else:
                self._discard()
        except BlockingIOError:
            pass

    def _read(self) -> None:
        data = self._sock.recv(HEAD_MOST - len(self._received))
        if not data:
            return self.close()
        self._received += data
        self._reply = self._admin.resources.reply(self._received, local=self._local, trusted=self._trusted)
        if self._reply is not None:
            self._begin(self._reply)
        return None

    def _begin(self, reply: Reply) -> None:
        if reply.complete():
            self._rest = memoryview(reply.data)
            self._write(reply)

    def _write(self, reply: Reply) -> None:
        while self._rest:
            self._rest = self._rest[self._sock.send(self._rest) :]
        if reply.more:
            # If it closes a connection with unread bytes, the kernel resets it, and the client may lose the response.
            self._sock.shutdown(socket.SHUT_WR)
        else:
            self.close()

    def _discard(self) -> None:
        data = self._sock.recv(HEAD_MOST)
        self._leftover += len(data)
        if not data or self._leftover > LEFTOVER_MOST:
            self.close()

    def _wait(self) -> None:
        # While the response is made nothing is read: a client may be half closed, and readable all the time.
        events = select.EPOLLERR if self._made_later else select.EPOLLOUT if self.answering else select.EPOLLIN
        if not self._events:
            self._admin.loop.add(self._sock.fileno(), events, self.proceed)
        elif events != self._events:
            self._admin.loop.modify(self._sock.fileno(), events)
        self._events = events
