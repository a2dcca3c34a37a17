"""What a worker does with more requests than it can serve: it answers 503 at once, so that the others are in time."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import QUEUED, SHED, SHED_LATE
from corepod.worker.arrival import ARRIVED
from corepod.worker.threads import RequestThreads

if TYPE_CHECKING:
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

TEXT = b"overloaded, please try again\n"


class Overload:
    """The limits of the settings, and the answer above them."""

    def __init__(self, settings: WorkerSettings, record: ScoreboardRecord) -> None:
        self.most, self.patience = settings.limit_requests, settings.queue_timeout
        self._record = record
        after = [(b"retry-after", b"%d" % settings.retry_after)] if settings.retry_after else []
        self._headers = [
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", b"%d" % len(TEXT)),
            *after,
        ]

    def around(self, app: Any) -> Any:
        """The application behind the limits that are set."""
        if self.most:
            app = self._limit_requests(app, self.most)
        return self._limit_queue(app, self.patience) if self.patience else app

    async def refuse_late(self, scope: Any, send: Any) -> None:
        """Answer a request that has waited for longer than its client will."""
        await self._refuse(SHED_LATE, scope, send)

    def limit_threads(self, app: Any) -> None:
        """Let requests of a WSGI application wait for a thread only as long as for the worker."""
        if self.patience and isinstance(getattr(app, "threads", None), RequestThreads):
            app.overload = self

    def _limit_requests(self, app: Any, most: int) -> Any:
        """WebSockets aren't counted: a session lasts, and is idle most of the time. Handshakes are refused all the
        same, because a worker that has too much to do has no time for one more session."""
        serving = 0

        async def limited(scope: Any, receive: Any, send: Any) -> None:
            nonlocal serving
            if serving >= most:
                await self._refuse(SHED, scope, send)
            elif scope["type"] != "http":
                await app(scope, receive, send)
            else:
                serving += 1
                try:
                    await app(scope, receive, send)
                finally:
                    serving -= 1

        return limited

    def _limit_queue(self, app: Any, patience: float) -> Any:
        async def limited(scope: Any, receive: Any, send: Any) -> None:
            arrived = scope["extensions"].pop(ARRIVED, None)
            if arrived is not None:
                waited = monotonic() - arrived
                self._record.words[QUEUED] += int(waited * 1e9)
                if waited >= patience:
                    await self.refuse_late(scope, send)
                    return
            await app(scope, receive, send)

        return limited

    async def _refuse(self, why: int, scope: Any, send: Any) -> None:
        self._record.words[why] += 1
        kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
        await send({"type": f"{kind}.start", "status": 503, "headers": list(self._headers)})
        await send({"type": f"{kind}.body", "body": TEXT})
