"""Shapes of load, and the search for the highest rate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.plans import FINE, MOST_STEPS, Step, busiest, highest, next_rate, search, users_at


@pytest.mark.parametrize(
    ("shape", "users"),
    [
        ("steady", [30, 30, 30, 30, None]),
        ("soak", [30, 30, 30, 30, None]),
        ("stages", [10, 20, 30, 10, None]),
        ("spike", [6, 6, 30, 6, None]),
    ],
)
def test_shapes(shape: str, users: list[int | None]) -> None:
    assert [users_at(shape, at, 30, 100.0) for at in (0.0, 30.0, 50.0, 80.0, 100.0)] == users


def test_a_run_without_a_duration_has_no_end() -> None:
    assert users_at("steady", 1e6, 30, 0.0) == 30


def test_there_is_always_somebody() -> None:
    assert users_at("spike", 0.0, 1, 10.0) == 1


@given(st.floats(1.0, 5000.0), st.floats(1.0, 200.0))
def test_the_search_finds_what_the_server_carries(limit: float, first: float) -> None:
    found, steps = search(first, lambda rate: rate <= limit)
    assert found <= limit
    assert found * FINE >= limit or len(steps) == MOST_STEPS or found < 1


def test_a_lucky_step_above_a_failure_does_not_count() -> None:
    assert highest([Step(10, True), Step(20, False), Step(40, True)]) == 10


def test_a_server_that_carries_nothing_ends_the_search() -> None:
    found, steps = search(8.0, lambda rate: False)
    assert (found, [step.rate for step in steps]) == (0.0, [8.0, 4.0, 2.0, 1.0])


def test_the_first_step_is_the_one_asked_for() -> None:
    assert next_rate([], 12.0) == 12.0


def test_busiest_seconds() -> None:
    # Half a core, but for five seconds of a whole one in the middle.
    used = [0.5 * at + 0.5 * min(max(at - 10, 0), 5) for at in range(30)]
    assert busiest(list(zip(map(float, range(30)), used, strict=True))) == pytest.approx(1.0)
    assert busiest([(0.0, 0.0), (2.0, 1.0)]) == pytest.approx(0.5)
    assert busiest([(0.0, 0.0)]) is None
