"""The threads that serve requests: whether all of them have stalled while other requests wait for one.

The event loop goes on then, so its tick shows nothing. What is found goes to the scoreboard; the supervisor decides.
"""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from corepod.contract.scoreboard import STALLED, WAITING
from corepod.worker.logs import log

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

T = TypeVar("T")
IDLE = 0.01  # less than this share of a core is no work: waking up to look at a lock costs as much
TOLD_AFTER = 2.0  # seconds without progress after which the log says so
TOLD_AGAIN = 60.0  # seconds between two such lines
ANYIO_NAME = "AnyIO worker thread"


class Taken(NamedTuple):
    """All threads of a pool are taken, and more requests want one."""

    progress: Any  # differs as soon as one of them has made progress
    threads: list[int]  # native ids


class Pool(Protocol):
    """Threads of which some code serves requests."""

    @property
    def waiting(self) -> int:
        """How many calls wait for a thread."""

    def taken(self) -> Taken | None:
        """How the threads are taken, None where one is free or nobody wants it. Called in the loop."""


class Request(Protocol):
    over: bool  # nobody waits for its response any more

    @property
    def name(self) -> str:
        """Method and path, in the shape in which they may be logged."""

    def expire(self, seconds: float) -> None:
        """It has held its thread for as long as it may: let somebody else answer it. Called in the loop."""

    def watch_client(self) -> None:
        """Notice from now on that the client has gone."""


class RequestThreads(ThreadPoolExecutor):
    """The threads of a WSGI application. Requests say where they are: in the queue, in the application, or neither."""

    def __init__(self, most: int) -> None:
        super().__init__(most, thread_name_prefix="wsgi", initializer=self._note_thread)
        self.most = most
        # Each operation of theirs is atomic: loop and threads share them.
        self._queued: set[Request] = set()
        self._inside: dict[Request, int] = {}  # with the number of the move by which it entered
        self._spare = most  # threads that may still take the places of others
        self._moves = 0
        self._refused_at = -1  # moves when a request found every thread taken
        self._threads_ids: list[int] = []

    def _note_thread(self) -> None:
        self._threads_ids.append(threading.get_native_id())

    def ask(self, request: Request) -> None:
        """It waits for a thread from now on."""
        self._queued.add(request)
        if len(self._inside) >= self.most:
            self._refused_at = self._moves

    def take(self, request: Request) -> bool:
        """Take it out of the queue; False where somebody else has. Its thread does so, and whoever gives it up: a
        request whose client was told to try again must not be served."""
        try:
            self._queued.remove(request)
        except KeyError:
            return False
        return True

    @property
    def waiting(self) -> int:
        """How many requests wait for a thread."""
        return len(self._queued)

    def enter(self, request: Request) -> None:
        """Its thread runs code of the application."""
        self._moves += 1
        self._inside[request] = self._moves

    def leave(self, request: Request) -> None:
        """Its thread has returned, or waits for the client."""
        self._inside.pop(request, None)
        self._moves += 1

    def end(self, request: Request) -> None:
        """The request is over, whatever its thread does."""
        self._queued.discard(request)
        if request in self._inside:
            log.warning(
                "a request has been given up, but its thread can't be stopped and runs on: %d of %d threads are taken",
                len(self._inside),
                self.most,
            )

    def inside(self) -> dict[Request, int]:
        """The requests inside the application. The number is another one when a request has left it meanwhile."""
        return self._inside.copy()

    def replace_one(self) -> None:
        """One of the threads is given up: another one takes its place, as long as not all have been replaced."""
        if self._spare:
            self._spare -= 1
            self.most = self._max_workers = self.most + 1
            self.submit(int)  # the executor looks how many threads there are when it gets work

    def are_serving(self, threads: list[threading.Thread], most: int) -> bool:
        """Whether these are threads of this pool, and no more than `most`."""
        return len(threads) <= most and self._threads >= set(threads)

    def taken(self) -> Taken | None:
        inside = tuple(self.inside())
        if len(inside) < self.most:
            return None
        for request in inside:
            request.watch_client()
        # Requests that wait for a thread may give up one after the other, so that none is seen waiting.
        hopeless = self._refused_at == self._moves and all(request.over for request in inside)
        return Taken(self._moves, list(self._threads_ids)) if self._queued or hopeless else None


class LoopThreads(ThreadPoolExecutor):
    """The loop's default executor: asyncio.to_thread, and the functions of Quart that aren't asynchronous.

    As in `AnyioThreads`, what runs while no request is in flight is work of the application's own, which may take as
    long as it likes.
    """

    def __init__(self, in_flight: Callable[[], int]) -> None:
        super().__init__(thread_name_prefix="asyncio")
        self._in_flight = in_flight
        self._jobs: set[Future[Any]] = set()

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future = super().submit(fn, *args, **kwargs)
        self._jobs.add(future)
        future.add_done_callback(self._jobs.discard)
        return future

    @property
    def waiting(self) -> int:
        """See `Pool`."""
        return max(0, len(self._jobs) - self._max_workers)

    def taken(self) -> Taken | None:
        jobs = tuple(self._jobs)
        if len(jobs) <= self._max_workers or not self._in_flight():
            return None
        running = frozenset(job for job in jobs if job.running())
        if len(running) < self._max_workers:
            return None
        return Taken(running, [t.native_id for t in tuple(self._threads) if t.native_id is not None])


class AnyioThreads:
    """The threads in which Starlette, FastAPI and others run functions that aren't asynchronous."""

    def __init__(self, limiter: Any, in_flight: Callable[[], int]) -> None:
        self._limiter, self._in_flight = limiter, in_flight

    @property
    def waiting(self) -> int:
        """See `Pool`."""
        return int(self._limiter.statistics().tasks_waiting) if self._limiter.available_tokens <= 0 else 0

    def taken(self) -> Taken | None:
        if self._limiter.available_tokens > 0 or not self._in_flight():
            return None
        now = self._limiter.statistics()
        if not now.tasks_waiting:
            return None
        threads = [t.native_id for t in threading.enumerate() if t.name == ANYIO_NAME and t.native_id is not None]
        return Taken(now.borrowers, threads)


def pools(app: Any, default: LoopThreads, in_flight: Callable[[], int]) -> list[Pool]:
    """The pools of threads that this application uses. `in_flight`: how many requests are. Called in a task."""
    if isinstance(threads := getattr(app, "threads", None), RequestThreads):
        return [threads]
    if "anyio" not in sys.modules:
        return [default]
    from anyio.to_thread import current_default_thread_limiter

    return [default, AnyioThreads(current_default_thread_limiter(), in_flight)]


class ThreadWatch:
    """Writes to the scoreboard since when all threads of a pool have stalled: taken, wanted by others, none of them
    making progress, and without using CPU."""

    def __init__(self, pools: Sequence[Pool], words: memoryview) -> None:
        self._pools, self._words = pools, words
        self._last: Taken | None = None
        self._since = self._looked = self._cpu = 0.0
        self._told = -TOLD_AGAIN

    def look(self, now: float) -> None:
        """Judge them now, in seconds of CLOCK_MONOTONIC."""
        self._words[WAITING] = sum(pool.waiting for pool in self._pools)
        taken = next((found for pool in self._pools if (found := pool.taken())), None)
        if taken is None:
            self._last, self._words[STALLED] = None, 0
            return
        cpu = sum(map(_thread_time, taken.threads))
        worked = cpu - self._cpu >= IDLE * (now - self._looked)
        if self._last is None or self._last.progress != taken.progress or worked:
            self._since = now
        self._last, self._looked, self._cpu = taken, now, cpu
        self._words[STALLED] = int(self._since * 1e9)
        if now - self._since >= TOLD_AFTER and now - self._told >= TOLD_AGAIN:
            self._told = now
            log.warning(
                "requests wait for a thread: each of the %d threads serves one, and none has made progress for %.0f s",
                len(taken.threads),
                now - self._since,
            )


def _thread_time(thread: int) -> float:
    """Seconds that a thread of this process has run or has waited in the run queue: a starved one hasn't stalled."""
    try:
        with open(f"/proc/self/task/{thread}/schedstat", "rb", buffering=0) as file:
            ran, waited, *_ = file.read().split()
    except (OSError, ValueError):
        return time.process_time()  # no such file in this sandbox: any work of the process counts
    return (int(ran) + int(waited)) / 1e9
