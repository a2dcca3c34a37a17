"""Rates, times and shares of cores from two looks, also when slots and pools come and go between them."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.contract.scoreboard import LATENCY_BOUNDS
from corepod.local.top.figures import Between, Figures, Look, cores, figures, quantile
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.local.top.looks import BUCKETS, latency, slot, status


def between(before: list[dict[str, Any]], now: list[dict[str, Any]], seconds: float = 2.0, **changed: Any) -> Figures:
    return figures(Look(10.0, status(before)), Look(10.0 + seconds, status(now, **changed)))


def test_rates_are_what_was_counted_between_the_looks() -> None:
    shown = between(
        [slot(0, requests=100, status=[0, 0, 90, 0, 0, 10]), slot(1, requests=7)],
        [slot(0, requests=120, status=[2, 0, 104, 0, 0, 14]), slot(1, requests=8)],
    )
    assert [row.rate for row in shown.rows] == [10.0, 0.5]
    assert shown.rate == 10.5
    assert [row.failed for row in shown.rows] == [3.0, 0.0]
    assert shown.failed == 3.0


def test_times_are_of_the_requests_that_ended_between_the_looks() -> None:
    old = latency(1000, 0, 0, 0, 0, 0, 50)  # slow once, long ago
    shown = between([slot(0, latency=old), slot(1)], [slot(0, latency=latency(1098, 0, 2, 0, 0, 0, 50)), slot(1)])
    assert shown.rows[0].p50 == Between(0.0, 0.005)
    assert shown.rows[0].p99 == Between(0.01, 0.025)
    assert shown.rows[1].p50 is None
    assert shown.p99 == shown.rows[0].p99


def test_the_first_look_knows_no_rates() -> None:
    shown = figures(
        None, Look(1.0, status([slot(0, requests=9, latency=latency(9), busy=0.5, in_flight=3, restarts=2)]))
    )
    row = shown.rows[0]
    assert (row.rate, row.p50, row.p99, row.others, shown.rate, shown.p99, shown.throttled) == (None,) * 7
    assert row.own == 0.5
    assert (shown.in_flight, shown.restarts, shown.memory) == (3, 2, 90 << 20)


def test_a_pool_that_was_started_anew_is_another_one() -> None:
    assert between([slot(0, requests=100)], [slot(0, requests=120)], started_at=5.0).rate is None
    assert between([slot(0, requests=100)], [slot(0, requests=120)], pid=8).rate is None


def test_a_slot_that_was_made_anew_has_counted_from_zero() -> None:
    before = slot(0, requests=100, latency=latency(100), cpu_seconds=50.0)
    row = between([before], [slot(0, requests=20, latency=latency(0, 20), cpu_seconds=1.0)]).rows[0]
    assert (row.rate, row.own) == (10.0, 0.5)
    assert row.p50 == Between(0.005, 0.01)


def test_slots_come_and_go() -> None:
    shown = between([slot(0, requests=100), slot(1, requests=50)], [slot(0, requests=104), slot(2, requests=6)])
    assert [(row.slot["slot"], row.rate) for row in shown.rows] == [(0, 2.0), (2, 3.0)]
    assert shown.rate == 5.0
    assert between([slot(0)], []).p50 is None


def test_what_else_runs_on_a_core() -> None:
    def look(at: float, used: int, cpu: float) -> Look:
        shared = [
            slot(0, core=0, cpu_seconds=cpu),
            slot(1, core=0, cpu_seconds=0.0),
            slot(2, core=None),
            slot(3, core=9),
        ]
        return Look(at, status(shared), {0: (used, int(at * 100))})

    first, second, none, unknown = figures(look(10.0, 0, 0.0), look(12.0, 150, 0.5)).rows
    assert (first.own, first.others) == (0.25, 0.5)
    assert (second.own, second.others) == (0.0, 0.75)  # the slot beside it is something else
    assert none.others is unknown.others is None
    # The two clocks don't agree to the tick: nothing else is not less than nothing.
    assert figures(look(10.0, 0, 0.0), look(12.0, 190, 2.0)).rows[0].others == 0.0


def test_throttled_is_a_share_of_the_time() -> None:
    assert between([slot(0)], [slot(0)], throttled_seconds=0.5).throttled == 0.25
    assert between([slot(0)], [slot(0)], throttled_seconds=None).throttled is None


@pytest.mark.parametrize(
    ("counts", "share", "expected"),
    [
        ([], 0.5, None),
        (latency(), 0.99, None),
        (latency(1), 0.5, Between(0.0, 0.005)),
        (latency(99, 1), 0.99, Between(0.0, 0.005)),
        (latency(98, 2), 0.99, Between(0.005, 0.01)),
        (latency(50, 50), 0.5, Between(0.0, 0.005)),
        ([0] * (BUCKETS - 1) + [1], 0.5, Between(10.0, None)),
    ],
)
def test_quantiles(counts: list[int], share: float, expected: Between | None) -> None:
    assert quantile(counts, share) == expected


@given(st.lists(st.floats(0.0, 20.0), min_size=1, max_size=60), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_where_the_request_itself_is(times: list[float], share: float) -> None:
    counts = [0] * BUCKETS
    for time in times:
        counts[next((n for n, bound in enumerate(LATENCY_BOUNDS) if time <= bound), BUCKETS - 1)] += 1
    # The shortest time that at least this share of all doesn't exceed.
    exact = next(time for time in sorted(times) if sum(other <= time for other in times) >= share * len(times))
    found = quantile(counts, share)
    assert found is not None
    assert exact >= found.least
    assert found.most is None or exact <= found.most


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=5))
def test_nothing_is_ever_less_than_nothing(pairs: list[tuple[int, int]]) -> None:
    before = [slot(n, requests=a, latency=latency(a), cpu_seconds=float(a)) for n, (a, _) in enumerate(pairs)]
    now = [slot(n, requests=b, latency=latency(b), cpu_seconds=float(b)) for n, (_, b) in enumerate(pairs)]
    shown = between(before, now)
    assert shown.rate is not None
    assert shown.rate >= 0
    assert all(row.own >= 0 and row.rate is not None and row.rate >= 0 for row in shown.rows)


STAT = """cpu  10 0 10 100 0 0 0 0 0 0
cpu0 10 1 2 80 5 1 1 3 7 7
cpu3 1 0 0 9 0
intr 5 0
"""


def test_the_kernels_words_about_cores() -> None:
    assert cores(STAT) == {0: (18, 103), 3: (1, 10)}  # guests' time is the user's, and counted there
    assert cores("") == {}
    assert cores("cpu0\ncpux 1 2 3 4 5\ncpu1 a b c d e\n\n".replace("\n\n", "\n")) == {}
