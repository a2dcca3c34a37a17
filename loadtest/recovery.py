"""What a fault cost: which failures it caused, and how long the recovery took."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from corepod.hit.exchange import LOST_SESSION, NOBODY, REFUSED, RESET, TIMED_OUT, Responder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.tally import Failure, Presence

CLOCK = 0.05  # seconds by which two processes' ideas of a moment may differ
AFTERMATH = 2.0  # seconds in which a client may learn that its connection has died with the worker
MORTAL = (RESET, TIMED_OUT, LOST_SESSION)  # outcomes of a request whose worker dies


@dataclass
class Event:
    """One fault that was injected. `at` is in Unix seconds, other times are seconds after it; None: not seen in time.

    `watched`: for how long it was watched at most, 0 if the fault could not be injected.
    `lasts`: how long the fault itself lasts, or how long a setting tolerates it (a stopped worker until it is killed).
    `outage`: it stops the whole pool, so refused connections are attributed to it. `deadly`: it kills a worker.
    """

    action: str
    at: float
    victim: Responder = NOBODY
    lasts: float = 0.0
    outage: bool = False
    deadly: bool = True
    answer: float | None = None  # until the next 200 for a new client
    back: float | None = None  # until the victim's place serves again
    note: str = ""
    watched: float = 0.0

    @property
    def recovery(self) -> float | None:
        """Seconds until the victim's place serves again, without the duration of the fault itself."""
        return None if self.back is None else max(0.0, self.back - self.lasts)

    @property
    def over(self) -> float:
        """The moment after which a failure isn't attributed to this fault any more."""
        return self.at + (self.lasts if self.back is None else max(self.back, self.lasts)) + AFTERMATH

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Event:
        return cls(**{**found, "victim": Responder(**found["victim"])})

    def as_dict(self) -> dict[str, Any]:
        return {**vars(self), "victim": self.victim._asdict()}


@dataclass
class Toll:
    """Failures by cause: in flight on the worker of each event, in the outage of each event, and all others."""

    in_flight: list[int] = field(default_factory=list)
    outage: list[int] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)


def toll(failures: Sequence[Failure], events: Sequence[Event]) -> Toll:
    found = Toll([0] * len(events), [0] * len(events))
    for failure in failures:
        number = owner(failure, events)
        if number is None:
            found.others[failure.outcome] += 1
        elif events[number].outage:
            found.outage[number] += 1
        else:
            found.in_flight[number] += 1
    return found


def owner(failure: Failure, events: Sequence[Event]) -> int | None:
    """The number of the event that caused the failure; None if none did."""
    for number, event in enumerate(events):
        if event.outage and event.at - CLOCK <= failure.ended <= event.over:
            return number
        if in_flight(failure, event):
            return number
    return None


def in_flight(failure: Failure, event: Event) -> bool:
    """Whether the request was with the worker that the event killed.

    For a connection with earlier responses it is known to which worker it leads. On a new connection the request may
    have been with that worker if it was under way at that moment. A request that was sent later, or refused, was not.
    """
    if not event.deadly or failure.outcome not in MORTAL or failure.outcome == REFUSED:
        return False
    if not event.at - CLOCK <= failure.ended <= event.over:
        return False
    if failure.worker != NOBODY and event.victim.pid is not None:
        return same_process(failure.worker, event.victim)
    return failure.begun <= event.at + CLOCK


def same_process(worker: Responder, victim: Responder) -> bool:
    return worker.pid == victim.pid and (worker.pod == victim.pod or None in (worker.pod, victim.pod))


def back_by_answers(event: Event, workers: Mapping[Responder, Presence]) -> float | None:
    """Seconds from the event to the first response of another process in the victim's place; None without one."""
    if event.victim.slot is None:
        return None
    first = [
        seen.first - event.at
        for worker, seen in workers.items()
        if worker.place == event.victim.place and worker.pid != event.victim.pid and seen.first >= event.at
    ]
    return min(first, default=None)
