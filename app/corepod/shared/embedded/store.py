"""The thread that works on the file: the event loop never waits for a disk or another process."""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import random
import sqlite3
import threading
import time
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from corepod.shared.embedded.file import File
from corepod.shared.errors import Unavailable
from corepod.shared.patience import within

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
PAUSE = 0.0005, 0.004  # seconds between two tries to get the file that another process changes


class Job:
    """One operation, for one event loop."""

    def __init__(self, work: Callable[[File, sqlite3.Connection], Any], until: float) -> None:
        self.work, self.until = work, until
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()

    def do(self, file: File) -> None:
        """In the thread."""
        if self.answer.done() or time.monotonic() >= self.until:
            return  # nobody waits for it any more
        result: Any = None
        error: Exception | None = None
        try:
            result = self._tries(file)
        except (sqlite3.Error, OSError) as raised:
            error = file.explain(raised)
            if not _busy(raised):
                file.close()  # what is wrong with it may be over, or another file in its place
        except Exception as raised:  # whatever it is, the thread goes on
            error = raised
        try:
            self.loop.call_soon_threadsafe(self._answer, result, error)
        except RuntimeError:
            pass  # it is closed

    def _tries(self, file: File) -> Any:
        while True:
            try:
                return self.work(file, file.open(self.until))
            except sqlite3.OperationalError as error:
                pause = random.uniform(*PAUSE)
                if not _busy(error) or time.monotonic() + pause >= self.until:
                    raise
                time.sleep(pause)

    def _answer(self, result: Any, error: Exception | None) -> None:
        if self.answer.done():
            return
        if error is not None:
            self.answer.set_exception(error)
        else:
            self.answer.set_result(result)


def _busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


class Store:
    """One for each file and process, for all of its event loops."""

    def __init__(self, path: str | None, *, chosen: bool) -> None:
        self.path = path
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_serve, args=(self._jobs, path, chosen), name="corepod-shared-state", daemon=True
        )
        self._thread.start()
        self._end = weakref.finalize(self, self._jobs.put, None)
        self._end.atexit = False

    async def run(self, work: Callable[[File, sqlite3.Connection], T], timeout: float) -> T:  # noqa: ASYNC109
        """What the work returns. Raises Unavailable, and what the work raises."""
        job = Job(work, time.monotonic() + timeout)
        self._jobs.put(job)
        try:
            result: T = await within(timeout, job.answer)
            return result
        except Unavailable as error:  # made in the thread: a new one belongs to the request, which gets a 503
            raise Unavailable(*error.args) from None
        except TimeoutError:
            raise Unavailable(
                f"the shared state {self.path or 'in memory'} hasn't answered within {timeout:g} s (shared_timeout)"
            ) from None

    def stop(self) -> None:
        """At the end of the program, so that the write-ahead log is copied into the file."""
        self._jobs.put(None)
        self._thread.join(1.0)


def _serve(jobs: queue.SimpleQueue[Job | None], path: str | None, chosen: bool) -> None:
    file = File(path, chosen=chosen)
    while (job := jobs.get()) is not None:
        with _working:
            job.do(file)
        del job
    with _working:
        file.close()


def store(path: str | None, *, chosen: bool) -> Store:
    """The one for this path. What is in memory stays for as long as the process."""
    with _making:
        found = _stores.get(path)
        if found is None:
            found = _stores[path] = Store(path, chosen=chosen)
        if path is None:
            _kept.append(found)
        return found


_stores: weakref.WeakValueDictionary[str | None, Store] = weakref.WeakValueDictionary()
_kept: list[Store] = []
_making = threading.Lock()
_working = threading.RLock()  # a thread is inside of SQLite; this kind knows its owner


def _forget() -> None:
    """In a forked child. The connections are the frames' of threads that don't exist here, and are never closed: that
    would make SQLite clean up what the parent uses."""
    global _stores, _kept, _making, _working
    for one in list(_stores.values()):
        one._end.detach()
    _stores, _kept = weakref.WeakValueDictionary(), []
    _making, _working = threading.Lock(), threading.RLock()


def _before_fork() -> None:
    # SQLite's own locks would stay taken in the child, which may use SQLite for something else. A disk that doesn't
    # answer isn't waited for.
    _working.acquire(timeout=1.0)


def _after_fork() -> None:
    with suppress(RuntimeError):  # it hasn't been got
        _working.release()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork, after_in_child=_forget)


@atexit.register
def _stop() -> None:
    for one in list(_stores.values()):
        one.stop()
