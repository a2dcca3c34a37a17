"""The order of a stop, with a clock of the test's own."""

from __future__ import annotations

from corepod.supervisor.stop import ECHO, LEAST_DRAIN, UNKILLABLE, Asked, Stop
from hypothesis import given
from hypothesis import strategies as st


def test_lame_duck_then_drain_for_what_is_left() -> None:
    stop = Stop(timeout=25.0, lame_duck=5.0)
    assert stop.drain_within(0.0) is None, "nobody has asked"
    assert stop.ask("SIGTERM", 100.0, stopping=False, serves=True) is Asked.BEGIN
    assert stop.lame_until == 105.0
    assert stop.drain_within(104.9) is None
    assert stop.drain_within(105.0) == 20.0
    assert stop.lame_until is None
    assert stop.drain_within(106.0) is None, "once"


def test_a_pool_that_was_never_ready_has_no_lame_duck() -> None:
    stop = Stop(timeout=25.0, lame_duck=5.0)
    stop.ask("SIGTERM", 100.0, stopping=False, serves=False)
    assert stop.drain_within(100.0) == 25.0


def test_the_second_request_stops_at_once() -> None:
    stop = Stop(timeout=25.0, lame_duck=5.0)
    stop.ask("SIGTERM", 100.0, stopping=False, serves=True)
    assert stop.ask("SIGTERM", 100.0 + ECHO, stopping=True, serves=True) is Asked.AT_ONCE


def test_a_signal_that_is_heard_twice_is_one_and_another_one_is_not() -> None:
    stop = Stop(timeout=25.0, lame_duck=5.0)
    stop.ask("SIGINT", 100.0, stopping=False, serves=True)
    assert stop.ask("SIGINT", 100.1, stopping=True, serves=True) is Asked.ECHO
    assert stop.ask("SIGTERM", 100.1, stopping=True, serves=True) is Asked.AT_ONCE


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 300))
def test_a_drain_has_its_time_whatever_the_lame_duck_took(timeout: float, lame_duck: float, late: float) -> None:
    stop = Stop(timeout=timeout, lame_duck=lame_duck)
    stop.ask("SIGTERM", 0.0, stopping=False, serves=True)
    within = stop.drain_within(lame_duck + late)
    assert within is not None
    assert LEAST_DRAIN <= within <= max(LEAST_DRAIN, timeout - lame_duck)


@given(st.floats(0, 100), st.floats(0, 100), st.booleans())
def test_the_supervisor_leaves_in_time_whoever_does_not_end(timeout: float, lame_duck: float, again: bool) -> None:
    stop = Stop(timeout=timeout, lame_duck=lame_duck)
    assert not stop.overdue(1e9), "nobody has asked"
    stop.ask("SIGTERM", 100.0, stopping=False, serves=True)
    assert not stop.overdue(100.0 + max(timeout, lame_duck)), "they have their time"
    if again:
        stop.ask("SIGINT", 101.0, stopping=True, serves=True)
        assert stop.overdue(101.0 + UNKILLABLE)
    assert stop.overdue(100.0 + max(timeout, lame_duck) + LEAST_DRAIN + UNKILLABLE)


def test_a_pool_that_ends_by_itself_is_left_in_time_too() -> None:
    stop = Stop(timeout=25.0, lame_duck=5.0)
    stop.at_once(100.0)
    assert not stop.overdue(100.0)
    assert stop.overdue(100.0 + UNKILLABLE)
