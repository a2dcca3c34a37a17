"""Accepts connections from the shared queue, fairly.

asyncio's own accept loop takes a whole batch at each wake-up, so that one worker queues what another would serve. Here
a worker accepts one connection, and the next only when that one's request has reached the application (the gate), or
after HOLD: a silent connection must not close the gate for ever. While other threads of this process use the core, it
hesitates until it is free itself, so that an idle worker is faster. docs/benchmarks.md (B8, B9) compares the
strategies.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING

from corepod.contract.scoreboard import ACCEPTED

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from corepod.worker.application.instrumented import Instrumented

HOLD = 0.002  # seconds the gate stays closed at the most
HESITATE = 0.030  # seconds a worker waits at the most while its threads use a whole core
WINDOW = 0.010  # least seconds over which its threads' share is measured
BATCH = 100
PAUSE = 1.0  # seconds without accepting when the process has no descriptor left
NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


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
        self._strategy, self._warn = strategy, warn
        self._timer: asyncio.TimerHandle | None = None
        self._closed = True
        self._full = False
        self._gated = self._hesitates = False
        self._starved = False  # the last accept found no descriptor left
        self._share = ThreadShare()

    def start(self) -> None:
        """Accept from now on."""
        self._closed = False
        if self._strategy == "gate":
            self._app.arrived, self._app.idle = self._open_gate, self._stop_hesitating
        self._watch()

    def stop(self, *, last: bool) -> None:
        """Close this process's copy of the sockets. `last`: no other process goes on accepting, so accept all of the
        queue first.

        A copy that stayed open during a drain would go on queueing connections which no process accepts; they are reset
        when the last copy is closed.
        """
        if self._closed:
            return
        self._closed = True
        self._unwatch()
        for listener in self._listeners:
            while last and self._accept_next(listener):
                pass
            listener.close()

    def pause(self, full: bool) -> None:
        """Stop accepting while the worker holds as many connections as it may."""
        if full != self._full and not self._closed:
            self._full = full
            (self._unwatch if full else self._watch)()

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
        self._gated = self._hesitates = False

    def _readable(self, listener: socket.socket) -> None:
        if self._strategy == "gate":
            wait = HESITATE * self._share.now() if self._app.in_flight else 0.0
            if wait > HOLD:
                self._unwatch()
                self._hesitates = True
                self._timer = self._loop.call_later(wait, self._after_hesitation, listener)
                return
        self._accept_some(listener)

    def _after_hesitation(self, listener: socket.socket) -> None:
        self._timer, self._hesitates = None, False
        self._accept_some(listener)
        if self._timer is None:
            self._watch()

    def _accept_some(self, listener: socket.socket) -> None:
        for _ in range(BATCH if self._strategy == "batch" else 1):
            if not self._accept_next(listener) or self._full:
                return
        if self._strategy == "gate":
            self._unwatch()
            self._gated = True
            self._timer = self._loop.call_later(HOLD, self._watch)

    def _open_gate(self) -> None:
        # In the next turn of the loop: a handler that blocks keeps the gate closed as long as it blocks.
        if self._gated:
            self._cancel()
            self._timer = self._loop.call_later(0, self._watch)

    def _stop_hesitating(self) -> None:
        # The worker has nothing left to do: from now on its core would idle beside a queue.
        if self._hesitates:
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
            return False
        self._starved = False
        connection.setblocking(False)
        self._app.record.words[ACCEPTED] += 1
        self._connect(connection)
        return True


class ThreadShare:
    """The share of a core that the process's other threads use: they compete with what the loop accepts."""

    def __init__(self) -> None:
        self._at, self._used, self._value = time.monotonic(), self._threads(), 0.0

    def now(self) -> float:
        at = time.monotonic()
        if at - self._at >= WINDOW:
            used = self._threads()
            self._value = min(1.0, (used - self._used) / (at - self._at))
            self._at, self._used = at, used
        return self._value

    @staticmethod
    def _threads() -> float:
        return time.process_time() - time.thread_time()
