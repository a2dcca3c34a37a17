"""The log says once that something is wrong with the shared state, and once that it's back."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

log = logging.getLogger("corepod")
TEXTS = 8  # different ones of one trouble that the log gets
LINES, MINUTE = 20, 60.0  # that the log gets in so many seconds, of a trouble that comes and goes


class _Trouble(NamedTuple):
    since: float
    told: set[str]


class Reporter:
    """What is wrong, by what it concerns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._troubles: dict[str, _Trouble] = {}
        self._lines, self._since = 0, 0.0

    def trouble(self, concerns: str, text: str, effect: str) -> None:
        """`text` and `effect` continue a sentence that begins with the server, and one of their own."""
        found = self._troubles.setdefault(concerns, _Trouble(time.monotonic(), set()))
        if text not in found.told and len(found.told) < TEXTS:
            found.told.add(text)
            self._say(f"{text}; {effect}")

    def fine(self, concerns: str) -> None:
        if self._troubles and (found := self._troubles.pop(concerns, None)):
            self._say(f"is back after {time.monotonic() - found.since:.1f} s ({concerns})")

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now >= self._since + MINUTE:
            self._lines, self._since = 0, now
        self._lines += 1
        if self._lines < LINES:
            log.warning("the shared state %s %s", self._name, text)
        elif self._lines == LINES:
            log.warning("the shared state %s %s; it comes and goes, and is told of again in a minute", self._name, text)
