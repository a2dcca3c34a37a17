"""The log says once that something is wrong with the shared state, and once that it's back."""

from __future__ import annotations

import logging
import time
from typing import NamedTuple

log = logging.getLogger("corepod")
TEXTS = 8  # different ones of one trouble that the log gets


class _Trouble(NamedTuple):
    since: float
    told: set[str]


class Reporter:
    """What is wrong, by what it concerns."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._troubles: dict[str, _Trouble] = {}

    def trouble(self, concerns: str, text: str, effect: str) -> None:
        """`text` and `effect` continue a sentence that begins with the server, and one of their own."""
        found = self._troubles.setdefault(concerns, _Trouble(time.monotonic(), set()))
        if text not in found.told and len(found.told) < TEXTS:
            found.told.add(text)
            log.warning("the shared state %s %s; %s", self._name, text, effect)

    def fine(self, concerns: str) -> None:
        if self._troubles and (found := self._troubles.pop(concerns, None)):
            log.warning(
                "the shared state %s is back after %.1f s (%s)", self._name, time.monotonic() - found.since, concerns
            )
