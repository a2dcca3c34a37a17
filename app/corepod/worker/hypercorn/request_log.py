"""hypercorn's log interface: it is told of every response, which is counted, and logged where the user wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypercorn.logging import Logger

from corepod.contract.scoreboard import STATUS
from corepod.worker.logs import log

if TYPE_CHECKING:
    from hypercorn.config import Config

    from corepod.worker.access_log import AccessLog
    from corepod.worker.scoreboard import ScoreboardRecord


class RequestLog(Logger):
    """Counts responses on the scoreboard by their status, and writes the access log, None where there is none."""

    def __init__(self, config: Config, record: ScoreboardRecord, access_log: AccessLog | None) -> None:
        super().__init__(config)
        self._record, self._access_log = record, access_log
        self.error_logger = log

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        self.answered(request, response, 0, request_time)

    def answered(self, scope: Any, response: Any, size: int, seconds: float) -> None:
        """A request has come to its end. `response` is the event that began its answer, None where it got none, and
        `size` the bytes of the body that were sent; hypercorn's own `access` doesn't know them."""
        status, headers = (response["status"], response.get("headers", ())) if response is not None else (0, ())
        self._record.words[STATUS + min(status // 100, 5)] += 1
        if self._access_log is not None:
            self._access_log.write(scope, status, headers, size, seconds)
