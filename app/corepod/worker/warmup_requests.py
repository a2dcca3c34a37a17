"""Requests that the template serves before it is frozen and forked (`warmup`), so that what they import, cache and
compile is in the pages that all workers share.

No lifespan runs: the template would be one more holder of what the application's startup makes, beside every worker.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from corepod.worker import forkable, logs
from corepod.worker.application.guard import guard
from corepod.worker.application.instrumented import Instrumented
from corepod.worker.application.middleware import wrap
from corepod.worker.implementation import create_server
from corepod.worker.logs import log
from corepod.worker.threads import RequestThreads
from corepod.worker.warmup import request

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import Server
    from corepod.worker.settings import WorkerSettings

LIMIT = 10.0  # seconds for all requests together
GRACE = 1.0  # seconds beyond it after which a loop that is blocked, or doesn't close, is interrupted
LEAVING = 1.0  # seconds that threads have to end after the loop
HEAD = "GET {} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: corepod-warmup\r\nAccept: */*\r\nConnection: close\r\n\r\n"


class OverdueError(BaseException):
    """Raised wherever the main thread is; not an Exception, because the application would catch that."""


def serve_warmup_requests(app: Any, settings: WorkerSettings, record: ScoreboardRecord) -> None:
    """Serve them in a loop of their own, which is gone afterwards with its threads, as far as those end.

    The loop is asyncio's, whatever the workers run: uvloop leaves a pipe of its library open, which looks like one that
    forks would share, and it swallows the interrupt at the limit. A request that fails is a line in the log and nothing
    more.
    """
    logs.configure_logging(settings)
    requests = _Requests(app, settings, record)
    try:
        with (
            _interrupted_after(None if settings.debug else LIMIT + GRACE),
            asyncio.Runner(debug=settings.debug or None, loop_factory=asyncio.SelectorEventLoop) as runner,
        ):
            runner.run(requests.serve())
    except OverdueError:
        requests.overdue = True
    except (Exception, SystemExit, KeyboardInterrupt) as error:
        log.warning("the warm-up requests ended with %s: the start goes on", type(error).__name__, exc_info=error)
    requests.report()
    _end_threads(app)
    # Sockets and loops in cycles are closed now, and not found to be open.
    gc.collect()


class _Requests:
    """What has become of the requests so far."""

    def __init__(self, app: Any, settings: WorkerSettings, record: ScoreboardRecord) -> None:
        self._app, self._settings, self._record = app, settings, record
        self._statuses: list[int] = []
        self.overdue = False

    async def serve(self) -> None:
        settings, loop = self._settings, asyncio.get_running_loop()
        loop.set_default_executor(_LoopThreads(thread_name_prefix="asyncio"))
        logs.report_loop_errors(loop)
        guarded = guard(self._app)
        app = Instrumented(_from_network(wrap(guarded, settings, self._record), settings), self._record)
        # Not `warming_up`: a request that is given up ends, and would be logged, while the loop is closed.
        server = create_server(app, replace(settings, access_log=False), self._record, None)
        try:
            async with asyncio.timeout(None if settings.debug else LIMIT):
                for path in settings.warmup:
                    self._statuses.append(await _serve(server, app, path))
        except TimeoutError:
            self.overdue = True

    def report(self) -> None:
        """One line for what was served, one for each failure."""
        paths = self._settings.warmup
        served = list(zip(paths, self._statuses, strict=False))
        if served:
            log.info("warm-up requests: %s", ", ".join(f"{path} {status or 'nothing'}" for path, status in served))
        for path, status in served:
            if not 100 < status < 500:
                log.warning(
                    "the warm-up request %s was answered with %s: the start goes on. It is served before any lifespan, "
                    "so name only paths that don't need what the application's startup makes (warmup)",
                    path,
                    status or "nothing",
                )
        if self.overdue:
            log.warning(
                "the warm-up requests took longer than %g s, and %s didn't end: the start goes on without the rest; "
                "name only paths that answer fast (warmup)",
                LIMIT,
                paths[len(served)] if len(served) < len(paths) else "what they have left running",
            )


async def _serve(server: Server, app: Instrumented, path: str) -> int:
    """The status of the response, 0 where there is none."""
    answer = await request(server, HEAD.format(path).encode())
    idle = asyncio.Event()
    app.idle = idle.set
    if app.in_flight:  # with what the application does behind its response
        await idle.wait()
    _, _, rest = answer.partition(b" ")
    return int(rest[:3]) if rest[:3].isdigit() else 0


def _from_network(app: Any, settings: WorkerSettings) -> Any:
    """The application as clients on this machine reach it over TCP, with TLS where the pool has it: over the private
    socket it would see no client, and might redirect every request to https."""
    scheme, port = ("https", 443) if settings.tls_cert else ("http", 80)

    async def from_network(scope: Any, receive: Any, send: Any) -> None:
        scope["client"], scope["server"], scope["scheme"] = ("127.0.0.1", 0), ("localhost", port), scheme
        await app(scope, receive, send)

    return from_network


@contextmanager
def _interrupted_after(seconds: float | None) -> Iterator[None]:
    """Raise OverdueError after these seconds, and again while it is caught: nothing else interrupts a loop that is
    blocked or that doesn't close."""

    def overdue(signum: int, frame: Any) -> None:
        raise OverdueError(f"the warm-up requests took longer than {LIMIT:g} s")

    if seconds is None:
        yield
        return
    before = signal.signal(signal.SIGALRM, overdue)
    signal.setitimer(signal.ITIMER_REAL, seconds, GRACE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL if before is None else before)  # None: a handler in C


class _LoopThreads(ThreadPoolExecutor):
    """The loop's default executor. Closing the loop doesn't wait for a thread that hangs."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


def _end_threads(app: Any) -> None:
    """Let the threads of requests end; the workers start their own."""
    if isinstance(threads := getattr(app, "threads", None), RequestThreads):
        threads.shutdown(wait=False, cancel_futures=True)
        app.threads = RequestThreads(threads.most)
    end = time.monotonic() + LEAVING
    while forkable.threads() > 1 and time.monotonic() < end:
        pass  # it waits itself
