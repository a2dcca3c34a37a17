"""Pauses between tries that fail, with a clock of the test's own."""

from __future__ import annotations

from corepod.supervisor.pool import backoff
from corepod.supervisor.pool.backoff import Backoff, FailureStreak, pause_after
from hypothesis import given, settings
from hypothesis import strategies as st


def new() -> Backoff:
    return Backoff(lambda: 0.5)


@settings(deadline=None)
@given(st.integers(1, 100), st.floats(0, 1))
def test_pauses_double_within_their_bounds(failures: int, random: float) -> None:
    pause = pause_after(failures, random)
    assert 0 <= pause <= backoff.LONGEST_PAUSE
    assert (pause == 0) == (failures == 1)
    # The jitter never makes a later pause shorter than an earlier one was at the least.
    assert pause_after(failures + 1, 0.0) >= pause_after(failures, 0.0)


@settings(deadline=None)
@given(st.floats(0, 1))
def test_a_streak_ends_with_a_stable_life(random: float) -> None:
    streak = FailureStreak()
    pauses = []
    for _ in range(5):
        streak.add(lived=1.0)
        pauses.append(streak.pause(random))
    assert pauses[0] == 0
    assert all(0.5 * 2**n / 2 <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[1:]))
    streak.add(lived=backoff.STABLE)
    assert streak.pause(random) == 0
    assert streak.count == 1


def test_loads_that_fail_are_tried_at_growing_pauses_and_forgotten_once_one_works() -> None:
    held, now, pauses = new(), 0.0, []
    for _ in range(6):
        held.load_failed(now)
        assert held.retry_at is not None
        pauses.append(held.retry_at - now)
        assert not held.expire(now + pauses[-1] - 0.001)
        now += pauses[-1]
        assert held.expire(now)
        assert held.retry_at is None
    assert pauses[0] == backoff.BOOT_PAUSE
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 4.0
    assert held.no_load
    held.loaded()
    assert not held.no_load


def test_forks_that_end_with_their_template_are_not_to_blame() -> None:
    held = new()
    for _ in range(backoff.BOOT_TRIES):
        held.fork_failed(0.0)
    assert held.no_forks
    held.template_lost(1.0, 0.0)
    assert not held.no_forks


def test_a_template_that_is_lost_does_not_end_the_pause_after_a_refusal() -> None:
    held = new()
    held.refused(0.0)
    held.template_lost(1.0, 0.0)
    assert held.retry_at == backoff.REFUSAL_PAUSE


def test_a_template_that_had_lived_long_is_made_again_at_once() -> None:
    held = new()
    for _ in range(3):
        held.template_lost(1.0, 0.0)
    assert held.retry_at is not None
    assert held.retry_at > 0.0
    held = new()
    for _ in range(3):
        held.template_lost(backoff.STABLE, 5.0)
    assert held.retry_at == 5.0


def test_the_longest_pause_of_all_wins() -> None:
    held = new()
    held.refused(0.0)
    held.load_failed(0.0)
    assert held.retry_at == backoff.REFUSAL_PAUSE
    held.load_failed(5.0)
    assert held.retry_at == 5.375


def test_pauses_of_the_standby_grow() -> None:
    held = new()
    held.lifespan_failed(10.0)
    assert held.spare_at == 10.0 + backoff.BOOT_PAUSE
    held.lifespan_failed(20.0)
    assert held.spare_at == 20.375
    held = new()
    held.standby_lost(1.0, 10.0)
    assert held.spare_at == 10.0
    held.standby_lost(1.0, 10.0)
    assert held.spare_at == 10.375


def test_the_longest_hold_of_the_spare_wins() -> None:
    held = new()
    held.hold_spare(5.0)
    held.hold_spare(2.0)
    assert held.spare_at == 5.0
    held.expire(4.9)
    assert held.spare_at == 5.0
    held.expire(5.0)
    assert held.spare_at is None


def test_a_standby_that_fails_delays_no_worker_and_the_other_way_round() -> None:
    held = new()
    for _ in range(3):
        held.standby_lost(1.0, 0.0)
        held.lifespan_failed(0.0)
    assert held.retry_at is None
    assert held.no_live
    held.handed_over()
    assert not held.no_live
    held = new()
    held.refused(0.0)
    assert (held.retry_at, held.spare_at) == (backoff.REFUSAL_PAUSE, None)


def test_an_armed_process_ends_the_streaks_that_kept_it_from_being_made() -> None:
    held = new()
    for _ in range(4):
        held.refused(0.0)
        held.fork_failed(0.0)
        held.load_failed(0.0)
    held.armed(forked=True)
    assert not held.no_load
    assert not held.no_forks
    held.expire(1e9)
    held.refused(0.0)
    assert held.retry_at == backoff.REFUSAL_PAUSE
