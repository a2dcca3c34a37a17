"""Around every application: its requests are counted, timed and noted on the scoreboard. The server calls it without a
wrapper of its own, so that counting adds no coroutine to a request."""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import IN_FLIGHT, LATENCY, LATENCY_BOUNDS, LATENCY_SUM, OWED, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.scoreboard import ScoreboardRecord

_BOUNDS = tuple(int(bound * 1e9) for bound in LATENCY_BOUNDS)


class Instrumented:
    """An ASGI application around another one, `app`, which may be exchanged: the warm-up puts its stub there."""

    def __init__(self, app: Any, record: ScoreboardRecord) -> None:
        self.app = app
        self.record = record
        self.arrived: Callable[[], None] = lambda: None  # called when a request has reached the application
        self.ended: Callable[[], None] = lambda: None  # called when a request has left it
        self.idle: Callable[[], None] = lambda: None  # called when the last one has
        self.begins: Callable[[], None] | None = None  # called in front of the application while it is set
        self.extension: dict[str, Any] = {}  # what `scope["extensions"]["corepod"]` is
        self._owed: dict[int, int] = {}  # entries on the scoreboard, by the identity of the request's scope

    @property
    def in_flight(self) -> int:
        return self.record.words[IN_FLIGHT]

    def answered(self, scope: Any) -> None:
        """The last byte of this request's response has been handed to the kernel. The server calls it at once: should
        the worker die in what the application still does, its client has lost nothing. More calls change nothing."""
        entry = self._owed.pop(id(scope), None)
        if entry is not None:
            self.record.end(entry)
            self.record.words[OWED] -= 1

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        record = self.record
        words = record.words
        words[REQUESTS] += 1
        words[IN_FLIGHT] += 1
        words[OWED] += 1
        self.arrived()
        started = monotonic_ns()
        scope["extensions"]["corepod"] = self.extension
        self._owed[id(scope)] = record.begin(started, scope.get("method", "WEBSOCKET"), scope["raw_path"])
        if self.begins is not None:
            self.begins()
        try:
            await self.app(scope, receive, send)
        finally:
            self.answered(scope)
            words[IN_FLIGHT] -= 1
            if scope["type"] == "http":
                took = monotonic_ns() - started
                words[LATENCY_SUM] += took
                words[LATENCY + bisect_left(_BOUNDS, took)] += 1
            self.ended()
            if not words[IN_FLIGHT]:
                self.idle()
