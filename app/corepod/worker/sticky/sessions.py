"""Sticky sessions: what a worker does with a connection that it has accepted, and with those that it is handed.

The first bytes of a connection are looked at and stay in the kernel. Where they name another slot that is served, the
connection is handed over to it; in every other case it is served here. A connection that is never read twice can't be
answered twice: so a slot's worker that dies, or stands still, loses none of those that wait for it.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import PASSED_ON
from corepod.worker.logs import log
from corepod.worker.sticky.cookie import Cookie, Look
from corepod.worker.sticky.ends import Ends, FullError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from corepod.contract.messages import Handovers
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import Server
    from corepod.worker.settings import WorkerSettings

FIRST = 4096  # bytes of a connection that are looked at first, and all of them for most
MOST = 1 << 16  # bytes that are looked at, where limit_header allows so many
PAUSE = 0.01  # seconds until a head that isn't whole is looked at again; then twice as long, and so on
LOOKS = 7  # of these: a head may take 1.27 s, and is read by the worker that has accepted it then
ROUND = 0.25  # seconds between two looks at what waits for other slots
ORPHANED = 0.25  # seconds for which a connection waits for the next worker of a slot that nobody serves
PATIENCE = 5.0  # seconds for which it waits for a worker that doesn't take it; then whoever sees it serves it
BATCH = 16  # connections that are taken from a slot's socket in one turn of the loop


class Undecided:
    """A connection whose first bytes aren't there yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock, self.looks = sock, 0
        self.silent = True
        self.timer: asyncio.TimerHandle | None = None


class StickySessions:
    """Those of one worker. Every method is called in the thread of the event loop."""

    def __init__(self, settings: WorkerSettings, record: ScoreboardRecord, loop: asyncio.AbstractEventLoop) -> None:
        self._settings, self._record, self._loop = settings, record, loop
        self._ends = Ends()
        self._most = min(settings.limit_header or MOST, MOST)
        self._undecided: set[Undecided] = set()
        self._mine = -1
        self._server: Server | None = None
        self._expect: Callable[[], None] = lambda: None
        self._timer: asyncio.TimerHandle | None = None
        self._full = False  # the worker has as many connections as it may
        self._hands_over = False
        self.cookie: Cookie | None = None  # None until this worker has a slot

    @property
    def slot(self) -> int:
        return self._mine

    def told(self, message: Handovers, fds: list[int]) -> None:
        """The supervisor has sent ends of the sockets."""
        self._ends.add(message.first, fds)
        self.cookie = Cookie(self._settings.sticky_cookie, message.pool, self._settings.root_path)

    def begin(self, slot: int, server: Server, expect: Callable[[], None]) -> None:
        """This worker serves the slot from now on. `expect` is called in front of a request that comes to it in another
        way than by accepting a connection."""
        self._mine, self._server, self._expect = slot, server, expect
        if self.cookie is None or self._ends.inbox(slot) is None:
            return  # the supervisor had no descriptor left
        try:
            self._record.serve(slot)
        except OSError as error:
            log.warning("sticky has no effect here: this system can't lock parts of a file (%s)", error.strerror)
            return
        self._hands_over = True
        self._watch()
        self._timer = self._loop.call_later(ROUND, self._look_after_others)

    def end(self, *, last: bool) -> None:
        """Hand over nothing any more, and take nothing more; what waits now and has no worker any more is served here.
        `last`: the pool stops."""
        if not self._hands_over:
            return
        self._hands_over = False
        self._unwatch()
        if self._timer is not None:
            self._timer.cancel()
        self._record.serve_no_more(self._mine)
        for undecided in list(self._undecided):
            self._serve_undecided(undecided)
        self.take_rest(last=last)

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
                return slot != self._mine and not self._record.is_served(slot)
        return True

    # Connections that this worker has accepted

    def connect(self, sock: socket.socket) -> None:
        """Serve this accepted connection, or let the slot serve it that it belongs to."""
        assert self._server is not None
        look = self._look(sock) if self._hands_over else Look(whole=True, slot=None)
        if look is None or not look.whole:
            self._wait(Undecided(sock), look)
        elif self._give(look.slot, sock):
            self._server.connections.on_waiting()
        else:
            self._server.connect(sock)

    def _look(self, sock: socket.socket) -> Look | None:
        """None where nothing has come yet."""
        assert self.cookie is not None
        try:
            data = sock.recv(FIRST, socket.MSG_PEEK)
            if len(data) == FIRST and self._most > FIRST and not (look := self.cookie.look(data)).whole:
                data = sock.recv(self._most, socket.MSG_PEEK)
        except BlockingIOError:
            return None
        except OSError:  # the client has gone; the server sees that
            data = b""
        look = self.cookie.look(data) if data else Look(whole=True, slot=None)
        return look._replace(whole=look.whole or len(data) >= self._most)

    def _give(self, slot: int | None, sock: socket.socket) -> bool:
        if slot is None or slot == self._mine or not self._hands_over:
            return False
        if not self._record.is_served(slot) or not self._ends.give(slot, sock):
            return False
        sock.close()
        self._record.words[PASSED_ON] += 1
        return True

    def _wait(self, undecided: Undecided, look: Look | None) -> None:
        """A silent connection costs a descriptor and no more: browsers open some before they need them."""
        assert self._server is not None
        self._undecided.add(undecided)
        self._server.connections.opened()
        self._server.connections.on_waiting()
        if look is None:
            self._loop.add_reader(undecided.sock, self._look_again, undecided)
            undecided.timer = self._loop.call_later(self._settings.keep_alive, self._serve_undecided, undecided)
        else:
            self._look_later(undecided)

    def _look_later(self, undecided: Undecided) -> None:
        undecided.silent = False
        undecided.timer = self._loop.call_later(PAUSE * 2**undecided.looks, self._look_again, undecided)
        undecided.looks += 1

    def _look_again(self, undecided: Undecided) -> None:
        look = self._look(undecided.sock)
        if look is None:
            return
        self._forget_reader(undecided)
        if look.whole or undecided.looks >= LOOKS:
            self._serve_undecided(undecided, look.slot)
        else:
            self._look_later(undecided)

    def _forget_reader(self, undecided: Undecided) -> None:
        if undecided.silent:
            self._loop.remove_reader(undecided.sock)
        if undecided.timer is not None:
            undecided.timer.cancel()

    def _serve_undecided(self, undecided: Undecided, slot: int | None = None) -> None:
        assert self._server is not None
        self._forget_reader(undecided)
        self._undecided.discard(undecided)
        self._server.connections.closed()
        if not self._give(slot, undecided.sock):
            self._serve(undecided.sock)

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
        try:
            connection = self._ends.take(slot)
        except FullError:
            self._unwatch()  # until the next round
            return False
        if connection is None:
            return False
        self._serve(connection)
        return True

    def _look_after_others(self) -> None:
        """Serve what no worker of its slot takes."""
        self._timer = self._loop.call_later(ROUND, self._look_after_others)
        self._watch()
        for slot in self._ends.slots():
            while slot != self._mine and not self._full and (waited := self._ends.waits(slot)) is not None:
                patience = PATIENCE if self._record.is_served(slot) else ORPHANED
                if waited < patience or not self._take(slot):
                    break
