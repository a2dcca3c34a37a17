"""Injects one fault after another while the load runs, and watches each one until the pool has recovered."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import OK, Client

from loadtest.chaos.action import ACTIONS, CannotInjectError
from loadtest.recovery import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadtest.chaos.action import Fault

ONE_TRY = 1.0  # seconds for a response to the new client that asks after a fault


@dataclass(frozen=True)
class Schedule:
    """Times in seconds.

    `after`: before the first fault. `every`: from one fault to the next. `deadline`: for the recovery from a fault, in
    addition to its own duration. `pause`: at least so long after each recovery.
    """

    after: float = 5.0
    every: float = 10.0
    deadline: float = 20.0
    pause: float = 1.0

    def run(
        self, target: Any, names: Iterable[str], record: Callable[[Event], None], over: Callable[[float], bool]
    ) -> None:
        """`over(seconds)`: whether the load ends within so many seconds. A fault injected then couldn't be watched."""
        due = time.monotonic() + self.after
        for name in cycle(names):
            while not over(0) and time.monotonic() < due:
                time.sleep(min(0.1, max(due - time.monotonic(), 0.001)))
            if over(self.every):
                return
            record(inject(name, target, self.deadline))
            due = max(due + self.every, time.monotonic() + self.pause)


def inject(name: str, target: Any, deadline: float) -> Event:
    """Inject a fault and watch it until the pool has recovered or the deadline has passed."""
    try:
        fault = ACTIONS[name](target)
    except CannotInjectError as error:
        return Event(name, time.time(), note=str(error))
    event = Event(name, fault.at, fault.victim, fault.lasts, fault.outage, fault.deadly, note=fault.note)
    end = time.monotonic() + fault.lasts + deadline
    while None in (event.answer, event.back) and time.monotonic() < end:
        if event.answer is None and (at := _asked(target.url)) is not None:
            event.answer = max(0.0, at - fault.at)
        if event.back is None and (at := _seen(fault)) is not None:
            event.back = max(0.0, at - fault.at)
        time.sleep(target.look)
    return event


def _seen(fault: Fault) -> float | None:
    try:
        return fault.back()
    except CannotInjectError:  # the fault may also hit what answers this question
        return None


def _asked(url: str) -> float | None:
    """When a new client got a 200; None if it got none."""
    return time.time() if Client(url, timeout=ONE_TRY).get("/healthz").outcome == OK else None
