"""Shares, Gini, busiest over idlest."""

from __future__ import annotations

import math

import pytest
from corepod.hit.exchange import Responder
from hypothesis import given
from hypothesis import strategies as st

from loadtest.balance import balance, busiest_over_idlest, gini, judged
from loadtest.tally import Presence
from tests.unit.loadtest.samples import tally


def answers(**counts: int) -> dict[Responder, Presence]:
    return {
        Responder(pod=pod, node=f"node-{pod[0]}", slot=0, pid=8): Presence(n, 0.0, 1.0) for pod, n in counts.items()
    }


def test_a_slot_keeps_its_share_when_its_process_changes() -> None:
    found = balance(tally().workers)
    assert found.counts == {"slot 1": 3, "slot 0": 2}
    assert found.shares == {"slot 1": 0.6, "slot 0": 0.4}
    assert found.busiest_over_idlest == 1.5


def test_the_same_slot_of_two_pods_is_two_workers_on_their_nodes() -> None:
    workers = answers(a1=30, a2=10, b1=20)
    assert balance(workers).counts == {"a1 slot 0": 30, "b1 slot 0": 20, "a2 slot 0": 10}
    assert balance(workers, "node").counts == {"node-a": 40, "node-b": 20}
    assert balance(workers, "core").counts == {}


def test_new_connections_are_what_is_judged_where_there_are_any() -> None:
    workers = {Responder(slot=0): Presence(90, 0, 1, 20), Responder(slot=1): Presence(30, 0, 1, 25)}
    assert judged(workers).counts == {"slot 1": 25, "slot 0": 20}
    assert judged(workers, expected=3).busiest_over_idlest == math.inf
    assert judged(answers(a=3, b=1)).busiest_over_idlest == 3


def test_who_never_answered_is_idle() -> None:
    assert balance(answers(a=5)).busiest_over_idlest == 1.0
    assert balance(answers(a=5), expected=2).busiest_over_idlest == math.inf
    assert math.isnan(balance({}).busiest_over_idlest)


@pytest.mark.parametrize(("counts", "expected", "value"), [([10, 10], 2, 1.0), ([30, 10], 2, 3.0), ([5], 2, math.inf)])
def test_busiest_over_idlest(counts: list[int], expected: int, value: float) -> None:
    assert busiest_over_idlest(counts, expected) == value


@pytest.mark.parametrize(
    ("counts", "value"), [([], 0.0), ([0, 0], 0.0), ([7, 7, 7], 0.0), ([0, 0, 0, 8], 0.75), ([1, 3], 0.25)]
)
def test_gini(counts: list[int], value: float) -> None:
    assert gini(counts) == pytest.approx(value)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_gini_is_between_equal_and_all_to_one(counts: list[int]) -> None:
    assert -1e-9 <= gini(counts) <= 1 - 1 / len(counts) + 1e-9
    assert gini(counts) == pytest.approx(gini([3 * count for count in counts]))
