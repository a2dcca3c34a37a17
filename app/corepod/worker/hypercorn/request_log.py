"""hypercorn's log interface: it is told of every response, which is counted, and logged where the user wants it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from hypercorn.logging import Logger

from corepod.contract.scoreboard import STATUS
from corepod.worker.logs import log

if TYPE_CHECKING:
    from hypercorn.config import Config

    from corepod.worker.scoreboard import ScoreboardRecord


class RequestLog(Logger):
    """Counts responses on the scoreboard by their status, and writes the access log."""

    def __init__(self, config: Config, record: ScoreboardRecord, *, access: bool) -> None:
        super().__init__(config)
        self._record, self._access = record, access
        self.error_logger = log
        self.access_logger = logging.getLogger("corepod.access") if access else None

    async def access(self, request: Any, response: Any, request_time: float) -> None:
        status = response["status"] if response is not None else 0
        self._record.words[STATUS + min(status // 100, 5)] += 1
        if self._access:
            await super().access(request, response, request_time)
