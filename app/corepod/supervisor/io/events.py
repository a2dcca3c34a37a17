"""What has happened in the pool, for clients that ask: the lines of the log that tell of an event, the latest ones."""

from __future__ import annotations

import time
from collections import deque

from corepod.contract import escaping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

KEPT = 200
LONGEST = 2000  # characters of a message; the log has all of it


class Events:
    """`last` is the number of the latest event, 0 before the first one."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, float, str, str, str, dict[str, object]]] = deque(maxlen=KEPT)
        self.last = 0
        self.since = time.time()  # tells these numbers from those of the pool that ran before

    def add(self, kind: str, level: str, message: str, who: dict[str, object]) -> None:
        self.last += 1
        self._kept.append((self.last, time.time(), kind, level, _cut(escaping.lines(message)), who))

    def after(self, number: int) -> list[dict[str, Any]]:
        """Those behind this number that are still kept."""
        return [
            {"number": n, "time": when, "kind": kind, "level": level, "message": message, **who}
            for n, when, kind, level, message, who in self._kept
            if n > number
        ]


def _cut(text: str) -> str:
    """What is in the middle is left out: a traceback says at its end what went wrong."""
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST // 4]}\n...\n{text[-LONGEST * 3 // 4 :]}"
