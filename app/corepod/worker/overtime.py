"""Requests of a WSGI application whose threads take longer than wsgi_timeout: they are answered in the application's
place, and other threads take over. How long it has been goes to the scoreboard; the supervisor replaces the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.contract.scoreboard import HELD, TICK_INTERVAL
from corepod.worker.logs import log

if TYPE_CHECKING:
    from threading import Thread

    from corepod.worker.threads import Request, RequestThreads

# Of the time between two looks: a process that was paused meanwhile, or got no core, accuses nobody.
MOST = 1.2 * TICK_INTERVAL


class Overtime:
    """Looks at the requests that are inside the application. A stream that goes on isn't one that hangs: with each part
    that it has sent the time begins anew."""

    def __init__(self, threads: RequestThreads, limit: float, words: memoryview) -> None:
        """`limit` is the setting, seconds."""
        self._threads, self._limit, self._words = threads, limit, words
        self._held: dict[Request, tuple[int, float]] = {}  # when it entered, as a count, and seconds since then
        self._given_up: set[Request] = set()
        self._looked = 0.0

    def look(self, now: float) -> None:
        """Judge them now, in seconds of CLOCK_MONOTONIC."""
        passed, self._looked = min(now - self._looked, MOST), now
        before, self._held = self._held, {}
        for request, entered in self._threads.inside().items():
            entry, seconds = before.get(request, (0, 0.0))
            self._held[request] = (entered, seconds + passed if entry == entered else 0.0)
        self._given_up &= self._held.keys()
        for request, (_, seconds) in self._held.items():
            if seconds >= self._limit and request not in self._given_up:
                self._give_up(request)
        self._words[HELD] = int(max((seconds for _, seconds in self._held.values()), default=0.0) * 1e9)

    def _give_up(self, request: Request) -> None:
        self._given_up.add(request)
        log.error(
            "%s has held its thread for %g s (wsgi_timeout) and is given up: the worker is to be replaced",
            request.name,
            self._limit,
        )
        request.expire(self._limit)
        self._threads.replace_one()

    def all_hang(self, threads: list[Thread]) -> bool:
        """Whether these, which are all that keep the process from its end, serve requests that were given up."""
        inside = self._threads.inside().keys()
        return bool(threads) and inside <= self._given_up and self._threads.are_serving(threads, len(inside))
