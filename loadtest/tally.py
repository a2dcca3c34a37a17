"""The outcomes of all requests: sums that can be added up over processes and hours, and every single failure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.hit.exchange import NOBODY, OK, TIMED_OUT, Responder

from loadtest.histogram import Histogram

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_FAILURES = 20_000  # that are kept with their times; further ones are only counted


class Sample(NamedTuple):
    """One request. Seconds; `begun` since the epoch, and for arrivals on a schedule when they were due, not sent."""

    route: str
    begun: float
    seconds: float
    outcome: str
    worker: Responder = NOBODY
    scheduled: bool = False
    late: float = 0.0  # how much later than due it was sent
    fresh: bool = True  # on a connection of its own, which any free worker could have accepted


class Failure(NamedTuple):
    """`worker` is the one to which the connection was known to lead."""

    route: str
    begun: float
    ended: float
    outcome: str
    worker: Responder


@dataclass
class Presence:
    """The responses of one process: their number, the first and last time, and the number on new connections."""

    answers: int
    first: float
    last: float
    fresh: int = 0


@dataclass
class Second:
    answered: int = 0
    failed: int = 0
    latency: Histogram = field(default_factory=Histogram)
    scheduled: Histogram = field(default_factory=Histogram)


@dataclass
class Route:
    outcomes: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)


@dataclass
class Tally:
    """`seconds` are those in which the requests ended; `scheduled` are the latencies of arrivals on a schedule."""

    seconds: dict[int, Second] = field(default_factory=dict)
    routes: dict[str, Route] = field(default_factory=dict)
    workers: dict[Responder, Presence] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    latency: Histogram = field(default_factory=Histogram)
    scheduled: Histogram = field(default_factory=Histogram)
    late: Histogram = field(default_factory=Histogram)

    def add(self, sample: Sample) -> None:
        ended = sample.begun + sample.seconds
        second = self.seconds.setdefault(int(ended), Second())
        route = self.routes.setdefault(sample.route, Route())
        route.outcomes[sample.outcome] += 1
        if sample.outcome == OK:
            second.answered += 1
            self._seen(sample, ended)
        else:
            second.failed += 1
            if len(self.failures) < KEPT_FAILURES:
                self.failures.append(Failure(sample.route, sample.begun, ended, sample.outcome, sample.worker))
        # A refusal is quick. Counted as a latency, it would make a worse server look faster.
        if sample.outcome in (OK, TIMED_OUT):
            for histogram in (second.latency, route.latency, self.latency):
                histogram.add(sample.seconds)
            if sample.scheduled:
                second.scheduled.add(sample.seconds)
                self.scheduled.add(sample.seconds)
        if sample.scheduled:
            self.late.add(sample.late)

    def _seen(self, sample: Sample, ended: float) -> None:
        if sample.worker == NOBODY:
            return
        seen = self.workers.setdefault(sample.worker, Presence(0, ended, ended))
        seen.answers += 1
        seen.fresh += sample.fresh
        seen.first, seen.last = min(seen.first, ended), max(seen.last, ended)

    @property
    def outcomes(self) -> Counter[str]:
        return sum((route.outcomes for route in self.routes.values()), Counter())

    @property
    def judged(self) -> Histogram:
        """The latencies for p95 and p99: those of scheduled requests if there are any, because the other users wait for
        each response before they send again."""
        return self.scheduled if self.scheduled.total else self.latency

    def merge(self, other: Tally) -> None:
        for at, second in other.seconds.items():
            mine = self.seconds.setdefault(at, Second())
            mine.answered += second.answered
            mine.failed += second.failed
            mine.latency.merge(second.latency)
            mine.scheduled.merge(second.scheduled)
        for name, route in other.routes.items():
            into = self.routes.setdefault(name, Route())
            into.outcomes.update(route.outcomes)
            into.latency.merge(route.latency)
        for worker, seen in other.workers.items():
            known = self.workers.setdefault(worker, Presence(0, seen.first, seen.last))
            known.answers += seen.answers
            known.fresh += seen.fresh
            known.first, known.last = min(known.first, seen.first), max(known.last, seen.last)
        self.failures += other.failures[: KEPT_FAILURES - len(self.failures)]
        self.latency.merge(other.latency)
        self.scheduled.merge(other.scheduled)
        self.late.merge(other.late)

    def as_dict(self) -> dict[str, Any]:
        return {
            "seconds": {
                str(at): [second.answered, second.failed, second.latency.as_dict(), second.scheduled.as_dict()]
                for at, second in sorted(self.seconds.items())
            },
            "routes": {
                name: {"outcomes": dict(route.outcomes), "latency": route.latency.as_dict()}
                for name, route in sorted(self.routes.items())
            },
            "workers": [{**worker._asdict(), **vars(seen)} for worker, seen in self.workers.items()],
            "failures": [{**failure._asdict(), "worker": failure.worker._asdict()} for failure in self.failures],
            "latency": self.latency.as_dict(),
            "scheduled": self.scheduled.as_dict(),
            "late": self.late.as_dict(),
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Tally:
        tally = cls(
            failures=[Failure(**{**one, "worker": Responder(**one["worker"])}) for one in found["failures"]],
            latency=Histogram.from_dict(found["latency"]),
            scheduled=Histogram.from_dict(found["scheduled"]),
            late=Histogram.from_dict(found["late"]),
        )
        for at, (answered, failed, *latencies) in found["seconds"].items():
            tally.seconds[int(at)] = Second(answered, failed, *map(Histogram.from_dict, latencies))
        for name, route in found["routes"].items():
            tally.routes[name] = Route(Counter(route["outcomes"]), Histogram.from_dict(route["latency"]))
        for one in found["workers"]:
            worker = Responder(*(one[key] for key in Responder._fields))
            tally.workers[worker] = Presence(one["answers"], one["first"], one["last"], one["fresh"])
        return tally
