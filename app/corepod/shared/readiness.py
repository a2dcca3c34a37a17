"""With `shared_required`: whether the shared state can be reached, looked at now and then. The worker runs `watch`, and
isn't ready while it reports a reason."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

from corepod.shared import state
from corepod.shared.errors import Unavailable
from corepod.worker.application import shared_state

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK = 2.0  # seconds between two looks, less up to a quarter of it: workers mustn't look in step
LOOK_AGAIN = 0.5  # after a failure
FAILURES = 2  # in a row, before the worker isn't ready: one may be a lost packet
KEY = "corepod:ready"  # nothing is stored there


class Verdict:
    """What a series of looks amounts to."""

    def __init__(self) -> None:
        self.why = ""  # the worker isn't ready, empty where it is
        self._failures = 0

    def looked(self, failure: str) -> None:
        """`failure` is empty where the state answered."""
        self._failures = self._failures + 1 if failure else 0
        if not failure or self._failures >= FAILURES:
            self.why = failure

    def pause(self, jitter: float) -> float:
        """Seconds until the next look; `jitter` is a random number from 0 to 1."""
        return (LOOK_AGAIN if self._failures else LOOK) * (1 - jitter / 4)


async def watch(report: Callable[[str], None]) -> None:
    """Report, after each look, why this worker isn't ready; empty where it is."""
    verdict, key = Verdict(), shared_state.current().prefix + KEY
    while True:
        verdict.looked(await _failure(key))
        report(verdict.why)
        await asyncio.sleep(verdict.pause(random.random()))


async def _failure(key: str) -> str:
    try:
        await state.backend().get(key)
    except Unavailable as error:
        return str(error)
    except Exception as error:
        return f"the shared state can't be used: {type(error).__name__}: {error}"
    return ""
