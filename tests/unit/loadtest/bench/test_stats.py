"""The arithmetic behind docs/benchmarks.md."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtest.bench.stats import (
    Ratio,
    abba,
    arrivals,
    one_queue,
    paired,
    percentile,
    pooled,
    split_queues,
)

positive = st.lists(st.floats(0.001, 1000.0), min_size=1, max_size=40)


@pytest.mark.parametrize(("share", "value"), [(0.0, 1.0), (0.5, 3.0), (0.625, 3.5), (1.0, 5.0)])
def test_a_percentile_lies_between_two_values_in_proportion(share: float, value: float) -> None:
    assert percentile([5.0, 1.0, 4.0, 2.0, 3.0], share) == value


def test_a_percentile_of_nothing_is_no_number() -> None:
    assert math.isnan(percentile([], 0.5))


@given(positive)
def test_percentiles_grow_with_their_share_and_stay_inside(values: list[float]) -> None:
    found = [percentile(values, share / 10) for share in range(11)]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (min(values), max(values))


def test_paired_takes_the_ratio_inside_each_round() -> None:
    # The machine gets ten times slower after the first round: the ratio of the medians would be 4.
    assert paired([2.0, 20.0, 20.0], [1.0, 10.0, 5.0]) == Ratio(2.0, 2.0, 4.0)


def test_paired_needs_as_many_rounds_on_both_sides() -> None:
    with pytest.raises(ValueError, match="zip"):
        paired([1.0], [1.0, 2.0])


@given(positive)
def test_a_side_over_itself_is_one(values: list[float]) -> None:
    assert pooled([values], [values], 0.5) == Ratio(1.0, 1.0, 1.0)
    assert paired(values, values) == Ratio(1.0, 1.0, 1.0)


def test_pooled_counts_every_value_and_shows_the_single_rounds() -> None:
    rounds = [[1.0, 2.0, 3.0], [10.0, 10.0, 10.0]]
    base = [[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]]
    assert pooled(rounds, base, 0.5) == Ratio(6.5 / 1.5, 2.0, 5.0)


def test_every_second_round_runs_backwards() -> None:
    assert [abba("abc", number) for number in range(3)] == [["a", "b", "c"], ["c", "b", "a"], ["a", "b", "c"]]


def test_arrivals_are_the_same_for_the_same_seed_and_as_many_as_asked_for() -> None:
    times = arrivals(100.0, 50.0, seed=7)
    assert times == arrivals(100.0, 50.0, seed=7) != arrivals(100.0, 50.0, seed=8)
    assert times == sorted(times)
    assert times[-1] < 50.0
    assert len(times) == pytest.approx(5000, rel=0.06)


def test_queues_by_hand() -> None:
    times = [0.0, 0.1, 0.2]
    assert one_queue(times, 1.0, 1) == pytest.approx([1.0, 1.9, 2.8])
    assert one_queue(times, 1.0, 2) == pytest.approx([1.0, 1.0, 1.8])
    assert one_queue(times, 1.0, 3) == pytest.approx([1.0, 1.0, 1.0])


def test_one_queue_agrees_with_theory() -> None:
    # M/D/1 at load 0.8: mean stay = 1 + 0.8 / (2 * 0.2) = 3 services.
    times = arrivals(80.0, 2000.0, seed=1)
    stays = one_queue(times, 0.01, 1)
    assert sum(stays) / len(stays) / 0.01 == pytest.approx(3.0, rel=0.05)


def test_random_queues_are_worse_than_one() -> None:
    times = arrivals(140.0, 500.0, seed=1)
    shared, split = one_queue(times, 0.01, 2), split_queues(times, 0.01, 2, seed=1)
    assert percentile(split, 0.99) > 1.5 * percentile(shared, 0.99)


@given(st.integers(1, 5), st.integers(0, 1000))
def test_nobody_stays_shorter_than_the_service(servers: int, seed: int) -> None:
    times = sorted(random.Random(seed).uniform(0.0, 1.0) for _ in range(50))
    for stays in (one_queue(times, 0.01, servers), split_queues(times, 0.01, servers, seed)):
        assert min(stays) >= 0.01 - 1e-9


@pytest.mark.parametrize(
    ("ratio", "text"),
    [
        (Ratio(1.0, 0.99, 1.2), "1.000 (0.990-1.20)"),
        (Ratio(0.25, 0.1, 12.3), "0.25 (0.10-12)"),
        (Ratio(math.inf, 1.5, math.nan), "- (1.50--)"),
    ],
)
def test_ratios_are_written_with_as_many_digits_as_they_deserve(ratio: Ratio, text: str) -> None:
    assert str(ratio) == text
