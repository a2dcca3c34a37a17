"""Accepts connections from the shared queue, fairly.

asyncio's own accept loop takes a whole batch at each wake-up, so that one worker queues what another would serve. Here
a worker accepts one connection, and the next only when that one's request has reached the application (the gate); a
few at once where requests are short. While its threads compute, it leaves connections to a worker that is idle, and
waits for no other. docs/benchmarks.md (B8, B9) compares the strategies.
"""

from __future__ import annotations

import errno
import socket
from enum import Enum
from typing import TYPE_CHECKING

from corepod.contract.scoreboard import ACCEPTED, AWAY, BUSY, IDLE
from corepod.worker.gate import COMPUTING, LOOK, SEVERAL, Courtesy, Gate, ThreadShare

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from corepod.worker.application.instrumented import Instrumented

BATCH = 100
MOST = {"one": 1, "several": SEVERAL, "batch": BATCH}  # connections taken at once without a gate
TURNS = 8  # of the loop, for which a closed gate leaves the sockets watched
PAUSE = 1.0  # seconds without accepting when the process has no descriptor left
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Away(Enum):
    """Why the sockets aren't watched for a moment."""

    GATE = "the request of the last connection hasn't arrived"
    COURTESY = "another worker has nothing to do"


class Acceptor:
    """Accepts on the pool's listening sockets, which it never binds or listens on anew."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        listeners: list[socket.socket],
        app: Instrumented,
        connect: Callable[[socket.socket], None],
        strategy: str,
        warn: Callable[[str], None],
    ) -> None:
        self._loop, self._listeners, self._app, self._connect = loop, listeners, app, connect
        self._most, self._warn = MOST.get(strategy, 1), warn
        self._gate: Gate | None = Gate() if strategy == "gate" else None
        self._courtesy, self._share = Courtesy(), ThreadShare()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = True
        self._full = self._last = False
        self._refused = 0  # times in a row that the closed gate was asked
        self._away: Away | None = None  # why the sockets aren't watched, where it is for a moment
        self._shown = AWAY  # what the other workers see of it
        self._starved = False  # the last accept found no descriptor left

    @property
    def defers(self) -> bool:
        """Whether the kernel holds back connections that have brought nothing yet."""
        return any(map(_defers, self._listeners))

    def start(self) -> None:
        """Accept from now on."""
        self._closed = False
        if self._gate is not None:
            self._app.arrived, self._app.ended = self._arrived, self._ended
        self._watch()
        self._show()

    def take_all(self) -> None:
        """Accept all of the queue, and from now on whatever comes at once: no other process goes on accepting."""
        if self._closed:
            return
        self._last, self._gate, self._full, self._most = True, None, False, BATCH
        self._show()
        self._watch()
        for listener in self._listeners:
            while self._accept_next(listener):
                pass

    def stop(self) -> None:
        """Close this process's copy of the sockets.

        A copy that stayed open during a drain would go on queueing connections which no process accepts; they are reset
        when the last copy is closed.
        """
        if self._closed:
            return
        self._unwatch()
        self._closed = True
        self._show()
        for listener in self._listeners:
            listener.close()

    def pause(self, full: bool) -> None:
        """Stop accepting while the worker holds as many connections as it may."""
        if full != self._full and not self._closed and not self._last:
            self._full = full
            (self._unwatch if full else self._watch)()
            self._show()

    def expect(self) -> None:
        """A connection that this worker hasn't accepted just now is about to bring a request."""
        if self._gate is not None:
            self._gate.close(self._loop.time())

    def brings_nothing(self) -> None:
        """A connection that has been accepted brings no request now: the gate needn't wait for it."""
        if self._gate is not None:
            self._gate.open(brought=False)
            self._come_back()

    def _show(self) -> None:
        """Tell the other workers how busy this one is, or that it accepts nothing."""
        accepts = self._gate is not None and not (self._closed or self._full or self._starved)
        presence = AWAY if not accepts else BUSY if self._app.in_flight else IDLE
        if presence != self._shown:
            self._shown = presence
            self._app.record.show(presence)

    def _watch(self) -> None:
        self._cancel()
        if not self._closed and not self._full:
            for listener in self._listeners:
                self._loop.add_reader(listener, self._readable, listener)

    def _unwatch(self) -> None:
        self._cancel()
        for listener in self._listeners:
            self._loop.remove_reader(listener)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._away = None

    def _go_away(self, why: Away, seconds: float) -> None:
        self._unwatch()
        self._away, self._timer = why, self._loop.call_later(seconds, self._watch)

    def _come_back(self) -> None:
        if self._away is Away.GATE and self._gate is not None and self._gate.is_open:
            self._watch()

    def _readable(self, listener: socket.socket) -> None:
        if self._gate is None:
            self._accept_some(listener, self._most)
            return
        now = self._loop.time()
        if left := self._gate.left(now):
            self._refused += 1
            # Most requests arrive within a few turns, which cost less than two changes of what the loop watches.
            if self._refused > TURNS:
                self._go_away(Away.GATE, left)
            return
        self._refused = 0
        if not self._app.in_flight or self._share.now() <= COMPUTING:
            self._accept_some(listener, self._gate.most(now))
        elif self._courtesy.steps_back(self._app.record.idle_sibling(), now):
            self._go_away(Away.COURTESY, LOOK)
        else:
            # Never a few: another worker may be idle before these have shared the core with the threads.
            self._accept_some(listener, 1)
            self._gate.forget()  # each turn of the loop waits for the interpreter's lock: that keeps it closed enough

    def _accept_some(self, listener: socket.socket, most: int) -> None:
        for _ in range(most):
            if not self._accept_next(listener) or self._full:
                return

    def _arrived(self) -> None:
        self._show()
        if self._gate is not None:
            self._gate.open(brought=True)
            self._come_back()

    def _ended(self) -> None:
        self._show()
        # With nothing left to serve, its core would idle beside a queue from now on.
        if self._away is Away.COURTESY and not self._app.in_flight:
            self._watch()

    def _accept_next(self, listener: socket.socket) -> bool:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return False
        except ConnectionAbortedError:
            return True  # its client has gone: one less in the queue, and nothing to serve
        except OSError as error:
            if self._closed:
                return False
            if error.errno == errno.EINVAL:  # a Unix socket that takes no more connections: the pool is about to stop
                self._unwatch()
                return False
            if error.errno not in NO_ROOM:
                raise
            if not self._starved:
                self._warn(f"can't accept a connection: {error.strerror} (raise ulimit -n, or set limit_connections)")
            self._starved = True
            # The queue stays readable: without a pause this would be a busy loop.
            self._unwatch()
            self._timer = self._loop.call_later(PAUSE, self._watch)
            self._show()
            return False
        self._starved = False
        connection.setblocking(False)
        self._app.record.words[ACCEPTED] += 1
        if self._gate is not None:
            self._gate.close(self._loop.time())
        self._connect(connection)
        return True


def _defers(listener: socket.socket) -> bool:
    try:
        return bool(listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT))
    except OSError:
        return False  # a Unix socket, or a sandbox that doesn't know the option
