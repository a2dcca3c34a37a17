"""Strikes again and again while the load goes on, and watches each time until all is as before."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import OK, Client

from loadtest.chaos.action import ACTIONS, NothingToStrikeError
from loadtest.recovery import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadtest.chaos.action import Strike

ONE_TRY = 1.0  # seconds for an answer to the new client that asks after a strike


@dataclass(frozen=True)
class Schedule:
    """Seconds: before the first strike, from one to the next, after the end of one at the least, and that one may take
    to be over, beside what the fault lasts."""

    after: float = 5.0
    every: float = 10.0
    deadline: float = 20.0
    pause: float = 1.0

    def run(
        self, target: Any, names: Iterable[str], told: Callable[[Event], None], over: Callable[[float], bool]
    ) -> None:
        """`over(seconds)`: whether the load ends within so many seconds; a strike then couldn't be watched."""
        due = time.monotonic() + self.after
        for name in cycle(names):
            while not over(0) and time.monotonic() < due:
                time.sleep(min(0.1, max(due - time.monotonic(), 0.001)))
            if over(self.every):
                return
            told(strike(name, target, self.deadline))
            due = max(due + self.every, time.monotonic() + self.pause)


def strike(name: str, target: Any, deadline: float) -> Event:
    """One event, watched to its end or its deadline."""
    try:
        struck = ACTIONS[name](target)
    except NothingToStrikeError as error:
        return Event(name, time.time(), note=str(error))
    event = Event(name, struck.at, struck.victim, struck.lasts, struck.outage, struck.deadly, note=struck.note)
    end = time.monotonic() + struck.lasts + deadline
    while None in (event.answer, event.back) and time.monotonic() < end:
        if event.answer is None and (at := _asked(target.url)) is not None:
            event.answer = max(0.0, at - struck.at)
        if event.back is None and (at := _seen(struck)) is not None:
            event.back = max(0.0, at - struck.at)
        time.sleep(target.look)
    return event


def _seen(struck: Strike) -> float | None:
    try:
        return struck.back()
    except NothingToStrikeError:  # what is asked is itself under fire
        return None


def _asked(url: str) -> float | None:
    """When a new client had its 200; None where it has none."""
    return time.time() if Client(url, timeout=ONE_TRY).get("/healthz").outcome == OK else None
