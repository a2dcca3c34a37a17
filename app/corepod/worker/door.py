"""The door to the application: every request goes through it, counted, timed and noted. It is the whole cost of the
scoreboard; hypercorn's own wrapper isn't used, so it adds no coroutine."""

from __future__ import annotations

from bisect import bisect_left
from time import monotonic_ns
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import IN_FLIGHT, LATENCY, LATENCY_BOUNDS, LATENCY_SUM, REQUESTS

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.board import Board

_BOUNDS = tuple(int(bound * 1e9) for bound in LATENCY_BOUNDS)


class Door:
    """Around an ASGI application, which may be exchanged (the rehearsal's for the user's)."""

    def __init__(self, app: Any, board: Board) -> None:
        self.app = app
        self.board = board
        self.arrived: Callable[[], None] = lambda: None  # told when a request has reached the application
        self.idle: Callable[[], None] = lambda: None  # told when the last one has left
        self.extension: dict[str, Any] = {}

    @property
    def in_flight(self) -> int:
        return self.board.words[IN_FLIGHT]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.arrived()
        board = self.board
        words = board.words
        words[REQUESTS] += 1
        words[IN_FLIGHT] += 1
        started = monotonic_ns()
        scope["extensions"]["corepod"] = self.extension
        entry = board.begin(started, scope.get("method", "WEBSOCKET"), scope["raw_path"])
        try:
            await self.app(scope, receive, send)
        finally:
            board.end(entry)
            words[IN_FLIGHT] -= 1
            if scope["type"] == "http":
                took = monotonic_ns() - started
                words[LATENCY_SUM] += took
                words[LATENCY + bisect_left(_BOUNDS, took)] += 1
            if not words[IN_FLIGHT]:
                self.idle()
