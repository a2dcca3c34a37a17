"""Workers that hand connections over to each other: real sockets, and a loop whose time the test moves.

Whatever is killed, ends, comes back or is full, each connection is served once.
"""

from __future__ import annotations

import os
import select
import socket
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.scoreboard import PASSED_ON, WORDS
from corepod.supervisor.launch.handovers import HandoverSockets
from corepod.worker.sticky import ends
from corepod.worker.sticky.decisions import PATIENCE
from corepod.worker.sticky.sessions import StickySessions
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SLOTS = 3
KEEP_ALIVE = 5.0
SETTINGS: Any = SimpleNamespace(limit_header=0, keep_alive=KEEP_ALIVE, sticky_cookie="corepod_sticky", root_path="")


class Timer:
    def __init__(self, at: float, callback: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        self.at, self.callback, self.arguments, self.cancelled = at, callback, arguments, False

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """What a worker uses of its event loop."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.timers: list[Timer] = []
        self.readers: dict[int, tuple[Callable[..., None], tuple[Any, ...]]] = {}
        self.turns = 0  # callbacks of readers

    def call_later(self, delay: float, callback: Callable[..., None], *arguments: Any) -> Timer:
        timer = Timer(self._pool.now + delay, callback, arguments)
        self.timers.append(timer)
        return timer

    def add_reader(self, sock: socket.socket, callback: Callable[..., None], *arguments: Any) -> None:
        self.readers[sock.fileno()] = (callback, arguments)

    def remove_reader(self, sock: socket.socket) -> None:
        assert sock.fileno() >= 0, "it is closed while the loop watches it"
        self.readers.pop(sock.fileno(), None)

    def turn(self) -> None:
        due = [timer for timer in self.timers if timer.at <= self._pool.now and not timer.cancelled]
        self.timers = [timer for timer in self.timers if timer.at > self._pool.now and not timer.cancelled]
        for timer in due:
            if not timer.cancelled:
                timer.callback(*timer.arguments)
        for fd in select.select(list(self.readers), [], [], 0)[0] if self.readers else []:
            if fd in self.readers:
                self.turns += 1
                callback, arguments = self.readers[fd]
                callback(*arguments)


class Record:
    """The scoreboard's locks: the kernel's part of it is in test_serves."""

    def __init__(self, pool: Pool, worker: Worker) -> None:
        self.words = [0] * WORDS
        self._pool, self._worker = pool, worker

    def serve(self, slot: int) -> None:
        self._pool.served.setdefault(slot, set()).add(self._worker)

    def serve_no_more(self, slot: int) -> None:
        self._pool.served[slot].discard(self._worker)

    def is_served(self, slot: int) -> bool:
        return bool(self._pool.served.get(slot, set()) - {self._worker})


class Worker:
    def __init__(self, pool: Pool, slot: int) -> None:
        self.pool, self.slot = pool, slot
        self.loop, self.record = Loop(pool), Record(pool, self)
        self.open = 0
        self.paused = False
        self.sessions = StickySessions(SETTINGS, self.record, self.loop)  # type: ignore[arg-type]
        self.connections = SimpleNamespace(opened=self._opened, closed=self._closed, on_waiting=lambda: None)

    def begin(self) -> None:
        self.sessions.begin(self.slot, self, lambda: None)  # type: ignore[arg-type]

    def _opened(self) -> None:
        self.open += 1

    def _closed(self) -> None:
        self.open -= 1

    def connect(self, sock: socket.socket) -> None:
        """Serve it."""
        said = sock.recv(65536).partition(b" ")[2].partition(b" ")[0].decode()
        self.pool.answered.setdefault(said, []).append(self.slot)
        sock.close()


class Pool:
    def __init__(self, stack: ExitStack, *, tell: bool = True) -> None:
        self.now, self._stack = 1000.0, stack
        self.served: dict[int, set[Worker]] = {}
        self.answered: dict[str, list[int]] = {}
        self.workers: list[Worker] = []
        self._sockets, self._last = HandoverSockets(), 0
        stack.callback(self._close)
        for slot in range(SLOTS):
            self.start(slot, tell=tell)

    def _close(self) -> None:
        for worker in self.workers:
            worker.sessions.close()
        for pair in self._sockets._pairs:
            for end in pair:
                end.close()

    def start(self, slot: int, *, tell: bool = True) -> Worker:
        worker = Worker(self, slot)
        self.workers.append(worker)
        self._sockets.activate(worker, SLOTS)  # type: ignore[arg-type]
        if tell:
            self.tell()
        worker.begin()
        return worker

    def tell(self) -> None:
        def send(worker: Any, message: Any, fds: list[int]) -> bool:
            worker.sessions.told(message, [os.dup(fd) for fd in fds])
            return True

        self._sockets.tell(send)

    def dies(self, worker: Worker) -> None:
        """It is killed: the kernel ends its locks and closes its descriptors."""
        self.workers.remove(worker)
        for served in self.served.values():
            served.discard(worker)
        self._sockets.forget(worker)  # type: ignore[arg-type]
        worker.sessions.close()

    def client(self, said: str, slot: int | None = None) -> tuple[socket.socket, socket.socket]:
        """A new connection: its client, and what a worker has accepted. What is sent is there at once: by TCP, a busy
        machine might be late with it."""
        client, accepted = map(self._stack.enter_context, socket.socketpair())
        accepted.setblocking(False)
        cookie = "" if slot is None else f"Cookie: corepod_sticky={self._sockets._pool}.{slot}\r\n"
        client.sendall(f"GET {said} HTTP/1.1\r\n{cookie}\r\n".encode() if said else b"")
        return client, accepted

    def wait(self, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now += 0.05
            self.turn()

    def turn(self) -> None:
        for worker in list(self.workers):
            if not worker.paused:
                worker.loop.turn()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def pool(stack: ExitStack, monkeypatch: pytest.MonkeyPatch) -> Pool:
    made = Pool(stack)
    monkeypatch.setattr(ends, "monotonic_ns", lambda: int(made.now * 1e9))
    return made


def test_a_connection_goes_to_the_slot_that_it_names(pool: Pool) -> None:
    for slot in range(SLOTS):
        pool.workers[0].sessions.connect(pool.client(f"/{slot}", slot)[1])
    pool.turn()
    assert pool.answered == {"/0": [0], "/1": [1], "/2": [2]}
    assert pool.workers[0].record.words[PASSED_ON] == 2


def test_a_head_in_pieces_never_makes_the_loop_spin(pool: Pool) -> None:
    worker = pool.workers[0]
    client, accepted = pool.client("")
    worker.sessions.connect(accepted)
    assert worker.open == 1
    for byte in b"GET /slow HTTP/1.1\r\nA: b\r\nC":
        client.sendall(bytes([byte]))
        pool.turn()
    assert worker.loop.turns == 1, "the first byte, and none of the others"
    pool.wait(3.0)
    assert pool.answered == {"/slow": [0]}
    assert worker.open == 0


def test_a_silent_connection_is_closed_after_keep_alive_and_not_before(pool: Pool) -> None:
    client, accepted = pool.client("")
    pool.workers[0].sessions.connect(accepted)
    pool.wait(KEEP_ALIVE - 1)
    assert pool.workers[0].open == 1
    pool.wait(1.1)
    assert client.recv(1) == b""
    assert pool.workers[0].open == 0
    assert pool.answered == {}


def test_who_speaks_late_still_gets_to_his_slot(pool: Pool) -> None:
    client, accepted = pool.client("")
    pool.workers[0].sessions.connect(accepted)
    pool.wait(KEEP_ALIVE - 1)
    client.sendall(f"GET /late HTTP/1.1\r\nCookie: corepod_sticky={pool._sockets._pool}.2\r\n\r\n".encode())
    pool.turn()
    pool.turn()
    assert pool.answered == {"/late": [2]}


def test_the_sockets_may_come_after_the_slot(stack: ExitStack) -> None:
    pool = Pool(stack, tell=False)
    assert all(worker.sessions.cookie is None for worker in pool.workers)
    pool.workers[0].sessions.connect(pool.client("/before", 1)[1])
    pool.tell()
    pool.workers[0].sessions.connect(pool.client("/after", 1)[1])
    pool.turn()
    assert pool.answered == {"/before": [0], "/after": [1]}


def test_a_lock_that_the_application_drops_comes_back(pool: Pool) -> None:
    pool.served[1].clear()
    pool.wait(0.3)
    pool.workers[0].sessions.connect(pool.client("/x", 1)[1])
    pool.turn()
    assert pool.answered == {"/x": [1]}


def test_a_slot_that_cannot_be_locked_any_more_hands_over_nothing(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    def serve(slot: int) -> None:
        raise OSError(9, "Bad file descriptor")

    worker = pool.workers[0]
    client, accepted = pool.client("")
    worker.sessions.connect(accepted)
    client.sendall(b"GET /silent HTTP/1.1\r\n")
    monkeypatch.setattr(worker.record, "serve", serve)
    pool.wait(0.3)
    worker.sessions.connect(pool.client("/x", 1)[1])
    assert worker.sessions.cookie is None
    assert pool.answered == {"/silent": [0], "/x": [0]}


MOVES = st.lists(
    st.tuples(
        st.sampled_from(["connect", "connect", "connect", "pause", "kill", "retire", "start", "full", "wait"]),
        st.integers(0, 9),
        st.integers(0, SLOTS),  # one more than there are
    ),
    max_size=40,
)


@given(MOVES, st.booleans())
@settings(deadline=None, max_examples=100)
def test_each_connection_is_served_once_whatever_happens_to_the_workers(
    moves: list[tuple[str, int, int]], stops: bool
) -> None:
    with ExitStack() as stack, pytest.MonkeyPatch.context() as patch:
        pool = Pool(stack)
        patch.setattr(ends, "monotonic_ns", lambda: int(pool.now * 1e9))
        asked = []
        for number, (move, which, slot) in enumerate(moves):
            worker = pool.workers[which % len(pool.workers)]
            if move == "connect":
                asked.append(f"/{number}")
                worker.sessions.connect(pool.client(asked[-1], slot)[1])
            elif move == "pause":
                worker.paused = not worker.paused
            elif move == "kill" and len(pool.workers) > 1:
                pool.dies(worker)
            elif move == "retire" and len(pool.workers) > 1:
                worker.sessions.end(last=False)
                pool.dies(worker)
            elif move == "start":
                pool.start(slot % SLOTS)
            elif move == "full":
                worker.sessions.pause(number % 2 == 0)
            else:
                pool.wait(which / 10)
        if stops:
            for worker in pool.workers:
                worker.sessions.end(last=True)
        else:
            for worker in pool.workers:
                worker.paused = False
                worker.sessions.pause(False)
            pool.wait(PATIENCE + 1)
        assert {said: len(slots) for said, slots in pool.answered.items()} == dict.fromkeys(asked, 1)
