"""What requests come to, on a recorded run."""

from __future__ import annotations

import json

import pytest
from corepod.hit.exchange import OK, REFUSED, RESET, TIMED_OUT

from loadtest.tally import Sample, Tally
from tests.unit.loadtest.samples import FIRST, NEXT, SAMPLES, SECOND, tally


def test_requests_are_counted_by_second_route_and_worker() -> None:
    found = tally()
    assert {at: (second.answered, second.failed) for at, second in found.seconds.items()} == {
        100: (2, 0), 101: (2, 2), 102: (1, 0),
    }  # fmt: skip
    assert found.outcomes == {OK: 5, RESET: 2}
    assert found.routes["/b"].outcomes == {OK: 1, RESET: 1}
    assert {worker: seen.answers for worker, seen in found.workers.items()} == {FIRST: 2, SECOND: 1, NEXT: 2}
    assert (found.workers[FIRST].first, found.workers[FIRST].last) == pytest.approx((100.1, 101.21))


def test_latencies_are_those_of_answers_and_of_what_was_never_answered() -> None:
    found = tally(Sample("/a", 102.0, 0.0001, REFUSED), Sample("/a", 102.0, 10.0, TIMED_OUT))
    assert found.latency.total == 6
    assert found.latency.percentile(1.0) == 10.0


def test_arrivals_on_a_schedule_are_what_is_judged() -> None:
    assert tally().judged.total == 4
    closed = Tally()
    closed.add(SAMPLES[4])
    assert closed.judged.total == 1


def test_the_sum_of_two_processes_is_that_of_all() -> None:
    one, other = Tally(), Tally()
    for number, sample in enumerate(SAMPLES):
        (one if number % 2 else other).add(sample)
    one.merge(other)
    one.failures.sort()
    whole = tally()
    whole.failures.sort()
    assert one.workers == whole.workers
    assert sorted(one.as_dict()["seconds"].items()) == sorted(whole.as_dict()["seconds"].items())
    assert (one.outcomes, one.failures) == (whole.outcomes, whole.failures)


def test_it_survives_json() -> None:
    document = tally().as_dict()
    assert Tally.from_dict(json.loads(json.dumps(document))).as_dict() == document
