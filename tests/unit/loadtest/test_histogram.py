"""Percentiles of counted durations."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.histogram import LEAST, RATIO, Histogram

durations = st.lists(st.floats(LEAST, 100.0), min_size=1, max_size=60)
shares = st.floats(0.0, 1.0)


def of(values: list[float]) -> Histogram:
    found = Histogram()
    for value in values:
        found.add(value)
    return found


@given(durations, shares)
def test_a_percentile_is_a_value_at_most_two_percent_too_long(values: list[float], share: float) -> None:
    exact = sorted(values)[max(math.ceil(share * len(values)), 1) - 1]
    found = of(values).percentile(share)
    assert found is not None
    assert exact / 1.000001 <= found <= exact * RATIO * 1.000001


@given(durations, durations)
def test_the_sum_of_two_is_that_of_all(one: list[float], other: list[float]) -> None:
    both = of(one)
    both.merge(of(other))
    assert (both.counts, both.longest) == (of(one + other).counts, max(one + other))


@given(durations)
def test_it_survives_json(values: list[float]) -> None:
    found = Histogram.from_dict(json.loads(json.dumps(of(values).as_dict())))
    assert (found.counts, found.longest) == (of(values).counts, max(values))


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile(0.5) is None


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-9])
def test_what_is_shorter_than_the_least_counts_as_it(value: float) -> None:
    assert of([value]).counts == {0: 1}
