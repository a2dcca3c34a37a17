"""When slots are added and removed by load: fast and slowly, within bounds, without flapping."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from corepod.supervisor.pool.autoscale import CALM, GROW_PAUSE, LONGEST_CALM, Autoscale, Facts
from hypothesis import given
from hypothesis import strategies as st


def facts(slots: int, *, queued: int = 0, busy: float = 0.0, shed: int = 0, steady: bool = True) -> Facts:
    return Facts(slots=slots, queued=queued, busy=busy, shed=shed, steady=steady)


def run(scale: Autoscale, slots: int, seconds: int, start: float = 0.0, **load: float) -> list[tuple[float, int]]:
    """Each change in so many seconds of the same facts: when, and to how many."""
    changes = []
    for second in range(seconds):
        now = start + second
        wanted = scale.decide(facts(slots, **load), now)  # type: ignore[arg-type]
        if wanted != slots:
            changes.append((now, wanted))
            slots = wanted
    return changes


def test_a_queue_that_lasts_adds_half_as_many_slots() -> None:
    assert [slots for _, slots in run(Autoscale(2, 8), 2, 60, queued=5)] == [3, 5, 8]
    assert run(Autoscale(2, 8), 2, 60, queued=5)[-1][0] <= 10, "within seconds"


def test_a_queue_of_one_look_is_no_load() -> None:
    scale = Autoscale(2, 8)
    for second in range(60):
        assert scale.decide(facts(2, queued=second % 2), float(second)) == 2


def test_busy_workers_and_refused_requests_add_slots() -> None:
    assert run(Autoscale(1, 2), 1, 10, busy=0.9)
    assert run(Autoscale(1, 2), 1, 10, shed=1)
    assert not run(Autoscale(1, 2), 1, 1000, busy=0.7)


def test_it_waits_for_the_last_slot_that_was_added() -> None:
    scale = Autoscale(1, 8)
    assert run(scale, 1, 3, queued=9) == [(1.0, 2)]
    for second in range(3, 100):
        assert scale.decide(facts(2, queued=9, steady=False), float(second)) == 2, "it isn't ready"
    assert run(scale, 2, 3, start=100.0, queued=9)[0][1] == 3


def test_calm_removes_one_slot_a_minute_and_never_the_last_ones() -> None:
    changes = run(Autoscale(2, 8), 5, 1000)
    assert [slots for _, slots in changes] == [4, 3, 2]
    assert all(after[0] - before[0] >= CALM for before, after in pairwise([(0.0, 5), *changes]))


@pytest.mark.parametrize(("slots", "busy"), [(2, 0.3), (4, 0.4), (8, 0.45)])
def test_what_the_others_could_not_take_over_is_kept(slots: int, busy: float) -> None:
    assert not run(Autoscale(1, 8), slots, 1000, busy=busy)


def test_calm_that_is_interrupted_begins_anew() -> None:
    scale = Autoscale(1, 2)
    for second in range(1000):
        assert scale.decide(facts(2, queued=int(second % int(CALM / 2) == 0)), float(second)) == 2


def test_a_slot_that_was_needed_after_all_is_kept_longer_the_next_time() -> None:
    scale = Autoscale(1, 2)
    run(scale, 2, 100)
    assert run(scale, 1, 10, start=100.0, queued=3), "it is back"
    assert scale.calm == 2 * CALM
    (removed, _), *_ = run(scale, 2, 1000, start=110.0)
    assert removed - 110 >= 2 * CALM


def test_other_bounds_are_kept_at_once() -> None:
    assert Autoscale(2, 4).decide(facts(7, steady=False), 0.0) == 4
    assert Autoscale(2, 4).decide(facts(1, steady=False), 0.0) == 2


LOAD = st.tuples(st.integers(0, 3), st.floats(0, 1), st.integers(0, 1), st.booleans())


@given(st.integers(1, 6), st.integers(0, 6), st.lists(LOAD, min_size=1, max_size=400))
def test_within_bounds_and_never_faster_than_it_says(
    least: int, more: int, looks: list[tuple[int, float, int, bool]]
) -> None:
    """Whatever comes, at each look."""
    scale, slots = Autoscale(least, least + more), least
    changes: list[tuple[float, int]] = []
    for second, (queued, busy, shed, steady) in enumerate(looks):
        wanted = scale.decide(facts(slots, queued=queued, busy=busy, shed=shed, steady=steady), float(second))
        assert least <= wanted <= least + more
        assert wanted >= slots - 1, "one at a time"
        if wanted != slots:
            changes.append((float(second), wanted - slots))
        slots = wanted
    assert scale.calm <= LONGEST_CALM
    for (before, _), (after, step) in pairwise(changes):
        assert after - before >= (CALM if step < 0 else GROW_PAUSE)


@given(st.floats(0.1, 6.0), st.integers())
def test_a_steady_load_is_followed_by_a_steady_number(cores: float, seed: int) -> None:
    """Load for so many cores, a little more and less at each look: after a while no slot goes that comes back. One more
    may still come, where chance makes the load look greater for a few looks."""
    scale, slots, dice = Autoscale(1, 8), 1, random.Random(seed)
    late: list[int] = []
    for second in range(3000):
        share = min(1.0, cores * dice.uniform(0.95, 1.05) / slots)
        wanted = scale.decide(facts(slots, busy=share, queued=int(share >= 1.0)), float(second))
        if second > 1500 and wanted != slots:
            late.append(wanted - slots)
        slots = wanted
    assert late == sorted(late, reverse=True)
    assert slots >= cores * 0.95
