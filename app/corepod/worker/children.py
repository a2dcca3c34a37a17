"""Processes that the application forks: a child is none of the pool's, and must not act as its worker.

Without this a TERM for the child would make the worker stop (they share the descriptor that wakes its loop), and the
child would keep the port open. `subprocess` executes another program, which keeps none of it anyway.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corepod.worker.application import api, leadership
from corepod.worker.process import set_name, stop_writing_stacks

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from typing import Protocol

    class Closeable(Protocol):
        def close(self) -> None: ...


STOPS = (signal.SIGTERM, signal.SIGINT)


class _Worker:
    """What a child doesn't keep of its worker."""

    def __init__(self) -> None:
        self.closeables: list[Closeable] = []
        self.handlers: dict[signal.Signals, Any] = {}
        self.masks: dict[int, set[int]] = {}  # by thread that forks
        self.forks_workers = False
        self.gives_interrupt = False  # the last hook does
        self.interruptible = False  # a child: an interrupt still has to get Python's handler


_worker = _Worker()


def keep_from_children(*closeables: Closeable) -> None:
    """What this process forks from now on is the application's, and closes these; they replace those named before."""
    _worker.closeables, _worker.forks_workers = list(closeables), False


def keep_from_children_too(closeable: Closeable) -> None:
    """They close this, beside the others."""
    _worker.closeables.append(closeable)


def handle_stops(loop: asyncio.AbstractEventLoop, callback: Callable[[], None]) -> None:
    """Let the loop call back at TERM and INT, in this process and not in its children."""
    for signum in STOPS:
        loop.add_signal_handler(signum, callback)
        _worker.handlers[signum] = signal.getsignal(signum)
    # The last one: hooks run in the order in which they were registered, and the application's modules have some.
    os.register_at_fork(after_in_child=_give_interrupt)
    _worker.gives_interrupt = True


def let_stops_pass(loop: asyncio.AbstractEventLoop | None = None) -> None:
    """TERM and INT do nothing in this process, which serves nobody, or nobody any more (in this loop), and which the
    supervisor ends: by whoever signals all processes of a pool it would be ended too early, and replaced, or be said to
    have failed.

    There is a handler, for programs that the application executes would inherit that a signal is ignored.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)  # the loop leaves the default behind for an instant
    for signum in STOPS:
        if loop is not None:
            loop.remove_signal_handler(signum)
        signal.signal(signum, _pass)
        _worker.handlers[signum] = _pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _pass(signum: int, frame: object) -> None:
    pass


@contextmanager
def forking_workers() -> Iterator[None]:
    """What is forked meanwhile is a worker of the pool: it keeps everything until `keep_from_children` is called."""
    _worker.forks_workers = True
    try:
        yield
    finally:
        _worker.forks_workers = False


def _before() -> None:
    # Until its handlers are its own, a signal to the child would arrive at the worker: the handler, which is still the
    # loop's, writes to the descriptor that both have.
    if not _worker.forks_workers:
        _worker.masks[threading.get_ident()] = set(signal.pthread_sigmask(signal.SIG_BLOCK, STOPS))


def _after() -> None:
    mask = _worker.masks.pop(threading.get_ident(), None)
    if mask is not None:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _after_in_child() -> None:
    if _worker.forks_workers:
        return
    _worker.interruptible = bool(_worker.closeables) and _leave()
    _after()
    if not _worker.gives_interrupt:
        _give_interrupt()


def _give_interrupt() -> None:
    """Let an interrupt raise KeyboardInterrupt, as in any Python program.

    What is raised in a hook is dropped. So an interrupt that comes before ends the child, and so does one that comes at
    this very moment.
    """
    if not _worker.interruptible:
        return
    _worker.interruptible = False
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)


def _leave() -> bool:
    """Undo what makes this process a worker. Whether an interrupt has to get Python's handler again."""
    if _worker.handlers:
        signal.set_wakeup_fd(-1)
    ours = [signum for signum, handler in _worker.handlers.items() if signal.getsignal(signum) == handler]
    for signum in ours:  # the application may have replaced them by its own
        signal.signal(signum, signal.SIG_DFL)
    stop_writing_stacks()  # they would be shown as the worker's
    for closeable in _worker.closeables:
        closeable.close()
    _worker.closeables, _worker.handlers = [], {}
    api.leave_pool()
    leadership.leave_pool()
    set_name(os.path.basename(sys.executable))  # as a child of any other program would be called
    return signal.SIGINT in ours


os.register_at_fork(before=_before, after_in_parent=_after, after_in_child=_after_in_child)
