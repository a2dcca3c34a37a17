"""Decisions about restarts: pure functions of facts and `now`."""

from __future__ import annotations

import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

BOOT_TRIES = 3  # an exception in the user's import or lifespan may be a database that is late
BOOT_PAUSE = 0.25  # seconds between two tries
BACKOFF_FIRST = 0.5  # seconds before the second restart of a row
BACKOFF_MOST = 30.0
STABLE = 60.0  # seconds a process has to live before the next back-off starts anew


def within_budget(deaths: Sequence[float], now: float, limit: int, window: float) -> bool:
    """Whether a slot with these times of death (the newest included) may be restarted at once.

    `limit` deaths in any `window` seconds are allowed; the next one gives the slot up.
    """
    return sum(1 for death in deaths if now - death < window) <= limit


def backoff(failures: int, random: float) -> float:
    """Seconds before restart number `failures` of a row (1 is the first): none, then doubling up to a limit.

    `random` from 0 to 1 spreads it over the upper half of the pause, so that what fell together rises apart.
    """
    if failures <= 1:
        return 0.0
    pause = min(BACKOFF_MOST, BACKOFF_FIRST * 2.0 ** min(failures - 2, 16))
    return pause * (0.5 + 0.5 * random)


def unit_random() -> float:
    """From 0 to 1. The module `random` would cost PID 1 a megabyte of imports."""
    return int.from_bytes(os.urandom(2), "big") / 65535


class Row:
    """Failures of one kind without a stable time between them."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def add(self, lived: float = 0.0) -> float:
        """One more, of something that had lived for `lived` seconds. Returns the pause it asks for, in seconds."""
        self.count = 1 if lived >= STABLE else self.count + 1
        return backoff(self.count, unit_random())

    def clear(self) -> None:
        self.count = 0


def describe(code: int, status: int) -> str:
    """Words for si_code and si_status of waitid(2)."""
    if code == os.CLD_EXITED:
        return f"exit code {status}"
    try:
        name = signal.Signals(status).name
    except ValueError:
        name = f"number {status}"
    return f"signal {name}" + (" (core dumped)" if code == os.CLD_DUMPED else "")


def exit_status(code: int, status: int) -> int:
    """The exit code that passes a worker's end on: its own, or 128 + signal as shells do."""
    return status if code == os.CLD_EXITED else 128 + status
