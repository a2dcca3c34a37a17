"""Sticky sessions: what a worker does with a connection that it has accepted, and with those that it is handed.

The first bytes of a connection are looked at and stay in the kernel. Where they name another slot that is served, the
connection is handed over to it; in every other case it is served here. A connection that is never read twice can't be
answered twice: so a slot's worker that dies, or stands still, loses none of those that wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import PASSED_ON
from corepod.worker.logs import log
from corepod.worker.sticky.cookie import Cookie, Look
from corepod.worker.sticky.decisions import is_left, look_again, renews
from corepod.worker.sticky.ends import Ends, FullError, LostError
from corepod.worker.sticky.first_bytes import look_at
from corepod.worker.sticky.undecided import Undecided

if TYPE_CHECKING:
    import asyncio
    import socket
    from collections.abc import Callable

    from corepod.contract.messages import Handovers
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import Server
    from corepod.worker.settings import WorkerSettings

ROUND = 0.25  # seconds between two looks at what waits for other slots
BATCH = 16  # connections that are taken from a slot's socket in one turn of the loop


class StickySessions:
    """Those of one worker. Every method is called in the thread of the event loop."""

    def __init__(self, settings: WorkerSettings, record: ScoreboardRecord, loop: asyncio.AbstractEventLoop) -> None:
        self._settings, self._record, self._loop = settings, record, loop
        self._ends = Ends()
        self._undecided = Undecided(loop, settings.keep_alive, self._look, self._decided, self._closed)
        self._pool = ""  # what cookies begin with
        self._mine = -1
        self._server: Server | None = None
        self._expect: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # the worker has as many connections as it may
        self._hands_over = False
        self._over = False  # it doesn't begin any more
        self.cookie: Cookie | None = None  # None until this worker takes connections for its slot

    @property
    def slot(self) -> int:
        return self._mine

    def told(self, message: Handovers, fds: list[int]) -> None:
        """The supervisor has sent ends of the sockets."""
        if len(fds) < 2 * message.slots:
            log.warning("no descriptor is left for the sockets of sticky sessions (raise ulimit -n)")
        self._ends.add(message.first, fds)
        self._pool = message.pool
        self._begin_if_possible()

    def begin(self, slot: int, server: Server, expect: Callable[[], None]) -> None:
        """This worker serves the slot from now on. `expect` is called in front of a request that comes to it in another
        way than by accepting a connection."""
        self._mine, self._server, self._expect = slot, server, expect
        self._begin_if_possible()

    def _begin_if_possible(self) -> None:
        """The sockets may come later than the slot, where there was no room for them on their way."""
        if self._hands_over or self._over or self._server is None or self._ends.inbox(self._mine) is None:
            return
        if self._is_locked():
            self._hands_over = True
            self.cookie = Cookie(self._settings.sticky_cookie, self._pool, self._settings.root_path)
            self._watch()
            self._timer = self._loop.call_later(ROUND, self._look_after_others)

    def _is_locked(self) -> bool:
        """Whether the others know now that this worker serves its slot."""
        try:
            self._record.serve(self._mine)
        except OSError as error:
            log.warning("sticky has no effect here: this process can't lock parts of a file (%s)", error.strerror)
            self._over = True
            return False
        return True

    def end(self, *, last: bool) -> None:
        """Hand over nothing any more, and take nothing more; what waits now and has no worker any more is served here.
        `last`: the pool stops."""
        self._over = True
        if self._hands_over:
            self._stop()
            self.take_rest(last=last)

    def _stop(self) -> None:
        self._hands_over = False
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        self._record.serve_no_more(self._mine)
        self._undecided.decide_all()

    def take_rest(self, *, last: bool) -> None:
        """Serve what waits for slots that nobody serves; `last`: for any slot."""
        for slot in self._ends.slots():
            if last or not self._record.is_served(slot):
                while self._take(slot):
                    pass

    def pause(self, full: bool) -> None:
        """Take nothing while the worker holds as many connections as it may."""
        if full != self._full:
            self._full = full
            (self._unwatch if full else self._watch)()

    def close(self) -> None:
        """This process is a child of the worker."""
        self._ends.close()

    def renews(self, headers: list[tuple[bytes, bytes]]) -> bool:
        """Whether the response to a request with these headers sets the cookie: it came without one, or with that of a
        slot that is gone, or whose worker is."""
        if self.cookie is None:
            return False
        for name, value in headers:
            if name == b"cookie" and (slot := self.cookie.slot(value)) is not None:
                return renews(slot, self._mine, self._record.is_served)
        return True

    # Connections that this worker has accepted

    def connect(self, sock: socket.socket) -> None:
        """Serve this accepted connection, or let the slot serve it that it belongs to."""
        assert self._server is not None
        look = self._look(sock) if self._hands_over else Look(whole=True, slot=None)
        connections = self._server.connections
        if look is None or look_again(look, 0) is not None:
            connections.opened()
            connections.on_waiting()
            self._undecided.add(sock, look)
        elif self._give(look.slot, sock):
            connections.on_waiting()
        else:
            self._server.connect(sock)

    def _look(self, sock: socket.socket) -> Look | None:
        assert self.cookie is not None
        return look_at(sock, self.cookie, self._settings.limit_header)

    def _give(self, slot: int | None, sock: socket.socket) -> bool:
        if slot is None or slot == self._mine or not self._hands_over:
            return False
        if not self._record.is_served(slot) or not self._ends.give(slot, sock):
            return False
        sock.close()
        self._record.words[PASSED_ON] += 1
        return True

    def _decided(self, sock: socket.socket, slot: int | None) -> None:
        self._closed()
        if not self._give(slot, sock):
            self._serve(sock)

    def _closed(self) -> None:
        assert self._server is not None
        self._server.connections.closed()

    def _serve(self, sock: socket.socket) -> None:
        assert self._server is not None
        self._expect()
        self._server.connect(sock)

    # Connections that others have accepted

    def _watch(self) -> None:
        inbox: Any = self._ends.inbox(self._mine)
        if self._hands_over and not self._full and inbox is not None:
            self._loop.add_reader(inbox, self._readable)

    def _unwatch(self) -> None:
        inbox: Any = self._ends.inbox(self._mine)
        if inbox is not None:
            self._loop.remove_reader(inbox)

    def _readable(self) -> None:
        for _ in range(BATCH):
            if self._full or not self._take(self._mine):
                return

    def _take(self, slot: int) -> bool:
        """Serve the next connection that waits for this slot; False where there is none, or no room for it."""
        try:
            connection = self._ends.take(slot)
        except FullError:
            self._unwatch()  # until the next round
            return False
        except LostError:
            log.error("a connection that was handed over is lost: no descriptor was left for it (raise ulimit -n)")
            return True
        if connection is None:
            return False
        self._serve(connection)
        return True

    def _look_after_others(self) -> None:
        """Serve what no worker of its slot takes."""
        # Locked anew: the kernel drops the lock when any descriptor of that file is closed in this process.
        if not self._is_locked():
            self._stop()
            self.cookie = None
            return
        self._timer = self._loop.call_later(ROUND, self._look_after_others)
        self._watch()
        for slot in self._ends.slots():
            while slot != self._mine and not self._full and (waited := self._ends.waits(slot)) is not None:
                if not is_left(waited, served=self._record.is_served(slot)) or not self._take(slot):
                    break
