"""Injects one fault after another while the load runs, and watches each one until the pool has recovered."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from itertools import cycle
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import OK, TIMED_OUT, Client

from loadtest.chaos.action import ACTIONS, CannotInjectError
from loadtest.recovery import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from loadtest.chaos.action import Fault

ONE_TRY = 1.0  # seconds for a response to the new client that asks after a fault; it grows with time-outs
PAUSE = 0.01  # seconds between two of its requests


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
    client = NewClient(target.url, end)
    client.start()
    over = False
    while not over and (event.back is None or client.is_alive()):
        over = time.monotonic() >= end  # before the look: this process may have waited for a core until then
        if event.back is None and (at := _seen(fault)) is not None:
            event.back = max(0.0, at - fault.at)
        time.sleep(target.look)
    client.join(ONE_TRY)
    event.watched = time.time() - fault.at
    if client.answered is not None:
        event.answer = max(0.0, client.answered - fault.at)
    elif client.timed_out:
        event.note = "; ".join(filter(None, (event.note, f"{client.timed_out} tries of a new client timed out")))
    return event


class NewClient(threading.Thread):
    """Asks after a fault until it gets a 200, or until `end`. In a thread of its own, for the place of the victim is
    watched meanwhile. It gives a slow server more time with each try: it answers, too, only late."""

    def __init__(self, url: str, end: float) -> None:
        super().__init__(daemon=True)
        self._url, self._end = url, end
        self.answered: float | None = None  # in Unix seconds
        self.timed_out = 0

    def run(self) -> None:
        while (left := self._end - time.monotonic()) > 0:
            # The first time-out may be that of a worker which the fault has stopped.
            patience = ONE_TRY * 2 ** max(0, self.timed_out - 1)
            outcome = Client(self._url, timeout=min(patience, left)).get("/healthz").outcome
            if outcome == OK:
                self.answered = time.time()
                return
            if outcome == TIMED_OUT:
                self.timed_out += 1
            time.sleep(PAUSE)


def _seen(fault: Fault) -> float | None:
    try:
        return fault.back()
    except CannotInjectError:  # the fault may also hit what answers this question
        return None
