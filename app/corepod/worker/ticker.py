"""The tick of a worker's loop, one of the two clocks by which the supervisor judges it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from corepod.contract.scoreboard import LAG, LAG_MAX, TICK, TICK_INTERVAL

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Sequence
    from typing import Protocol

    from corepod.worker.scoreboard import ScoreboardRecord

    class Watch(Protocol):
        """What looks at the threads."""

        def look(self, now: float) -> None: ...


class Ticker:
    """Writes the loop's tick to the scoreboard: when the loop turned last, and how late; and looks at the threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, record: ScoreboardRecord, watches: Sequence[Watch]) -> None:
        self._loop, self._words, self._watches = loop, record.words, watches
        self._due = loop.time()

    def tick(self) -> None:
        words, late = self._words, max(0, int((self._loop.time() - self._due) * 1e9))
        words[TICK] = time.monotonic_ns()
        words[LAG] = late
        words[LAG_MAX] = max(words[LAG_MAX], late)
        for watch in self._watches:
            watch.look(time.monotonic())
        self._due = self._loop.time() + TICK_INTERVAL
        self._loop.call_at(self._due, self.tick)
