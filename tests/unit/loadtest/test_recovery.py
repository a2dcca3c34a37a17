"""Which failures are an event's own, and when it was over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from corepod.hit.exchange import LOST_SESSION, NOBODY, REFUSED, RESET, SERVER_ERROR, TIMED_OUT, Responder

from loadtest.recovery import Event, back_by_answers, in_flight, toll
from loadtest.tally import Failure
from tests.unit.loadtest.samples import FIRST, KILL, SECOND, tally


def failure(outcome: str, begun: float, ended: float, worker: Responder = NOBODY) -> Failure:
    return Failure("/a", begun, ended, outcome, worker)


def test_what_was_in_flight_on_the_killed_worker_is_counted_apart() -> None:
    found = toll(tally().failures, [KILL])
    assert (found.in_flight, found.outage, found.others) == ([2], [0], {})


@pytest.mark.parametrize(
    ("own", "which"),
    [
        (True, failure(RESET, 100.0, 101.01)),
        (True, failure(TIMED_OUT, 100.0, 101.2)),
        (True, failure(LOST_SESSION, 90.0, 101.0, SECOND)),
        (True, failure(RESET, 101.1, 101.2, SECOND)),  # on a connection that led to the dead worker
        (False, failure(RESET, 100.0, 100.5)),  # before the fault
        (False, failure(RESET, 101.2, 101.3)),  # sent when the worker was dead already
        (False, failure(RESET, 100.0, 104.0)),  # too late to be this one's
        (False, failure(RESET, 100.9, 101.01, FIRST)),  # with another worker
        (False, failure(REFUSED, 101.0, 101.0)),  # with nobody
        (False, failure(SERVER_ERROR, 100.9, 101.01)),  # an answer
    ],
)
def test_in_flight(own: bool, which: Failure) -> None:
    assert in_flight(which, KILL) is own
    assert not in_flight(which, replace(KILL, deadly=False))


def test_a_worker_that_hangs_keeps_what_it_has_until_it_is_ended() -> None:
    hang = Event("hang", 100.0, SECOND, lasts=3.0, back=3.2)
    assert in_flight(failure(RESET, 99.9, 103.1), hang)
    assert hang.recovery == pytest.approx(0.2)
    assert not in_flight(failure(RESET, 99.9, 103.1), replace(KILL, at=100.0))


def test_pods_whose_processes_have_the_same_number_are_told_apart() -> None:
    killed = Event("sigkill", 101.0, Responder(pod="a", slot=0, pid=8), back=0.1)
    assert in_flight(failure(RESET, 101.0, 101.0, Responder(pod="a", slot=0, pid=8)), killed)
    assert in_flight(failure(RESET, 101.0, 101.0, Responder(slot=0, pid=8)), killed)
    assert not in_flight(failure(RESET, 101.0, 101.0, Responder(pod="b", slot=0, pid=8)), killed)


def test_an_outage_owns_every_failure_until_it_is_over() -> None:
    outage = Event("kill-supervisor", 101.0, outage=True, back=0.5)
    found = toll([failure(REFUSED, 101.2, 101.2), failure(REFUSED, 104.0, 104.0)], [outage])
    assert (found.outage, found.others) == ([1], {REFUSED: 1})


def test_the_answers_tell_when_a_place_was_back() -> None:
    assert back_by_answers(KILL, tally().workers) == pytest.approx(0.35)
    assert back_by_answers(replace(KILL, at=200.0), tally().workers) is None
    assert back_by_answers(replace(KILL, victim=Responder(pid=11)), tally().workers) is None


def test_an_event_without_end_has_no_recovery() -> None:
    assert replace(KILL, back=None).recovery is None
    assert Event.from_dict(KILL.as_dict()) == KILL
