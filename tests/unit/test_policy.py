"""Restarts as pure decisions, with a clock of the test's own."""

from __future__ import annotations

import os
import signal

import pytest
from corepod.supervisor import policy
from corepod.supervisor.setbacks import Setbacks
from corepod.supervisor.slot import Slot
from hypothesis import given
from hypothesis import strategies as st

LIMIT, WINDOW = 5, 60.0


def gives_up(deaths: list[float]) -> int | None:
    """The number of the death at which a slot with the default budget is given up."""
    slot = Slot(0, None)
    for number, death in enumerate(deaths, start=1):
        slot.remember(death, WINDOW)
        if not policy.within_budget(slot.deaths, death, LIMIT, WINDOW):
            return number
    return None


def test_a_crash_a_minute_goes_on_for_ever() -> None:
    slot = Slot(0, None)
    for minute in range(60 * 24):
        slot.remember(minute * 60.0, WINDOW)
        assert policy.within_budget(slot.deaths, minute * 60.0, LIMIT, WINDOW)
    assert len(slot.deaths) == 1, "what is out of the window isn't kept"


def test_five_deaths_in_a_minute_are_allowed_and_the_sixth_is_not() -> None:
    assert gives_up([0, 1, 2, 3, 4]) is None
    assert gives_up([0, 1, 2, 3, 4, 5]) == 6
    assert gives_up([0, 12, 24, 36, 48, 59.9]) == 6
    assert gives_up([0, 12, 24, 36, 48, 60, 72, 84]) is None, "the window slides"


def test_an_old_burst_is_forgotten() -> None:
    assert gives_up([*range(5), *range(70, 75), *range(140, 145)]) is None


@given(st.lists(st.floats(0, 600), max_size=40).map(sorted))
def test_the_budget_is_that_of_any_window(deaths: list[float]) -> None:
    ended = gives_up(deaths)
    crowded = [
        number
        for number, death in enumerate(deaths, start=1)
        if sum(1 for other in deaths[:number] if death - other < WINDOW) > LIMIT
    ]
    assert ended == (crowded[0] if crowded else None)


@given(st.integers(1, 100), st.floats(0, 1))
def test_back_off_doubles_within_its_bounds(failures: int, random: float) -> None:
    pause = policy.backoff(failures, random)
    assert 0 <= pause <= policy.BACKOFF_MOST
    assert (pause == 0) == (failures == 1)
    # The jitter never makes a later pause shorter than an earlier one was at the least.
    assert policy.backoff(failures + 1, 0.0) >= policy.backoff(failures, 0.0)


def test_a_row_ends_with_a_stable_life() -> None:
    row = policy.Row()
    pauses = [row.add(lived=1.0) for _ in range(5)]
    assert pauses[0] == 0
    assert all(0.5 * 2**n / 2 <= pause <= 0.5 * 2**n for n, pause in enumerate(pauses[1:]))
    assert row.add(lived=policy.STABLE) == 0
    assert row.count == 1


def test_random_is_from_0_to_1() -> None:
    assert all(0.0 <= policy.unit_random() <= 1.0 for _ in range(1000))


@pytest.mark.parametrize(
    ("code", "status", "words", "passed_on"),
    [
        (os.CLD_EXITED, 0, "exit code 0", 0),
        (os.CLD_EXITED, 3, "exit code 3", 3),
        (os.CLD_KILLED, signal.SIGKILL, "signal SIGKILL", 137),
        (os.CLD_DUMPED, signal.SIGSEGV, "signal SIGSEGV (core dumped)", 139),
        (os.CLD_KILLED, signal.SIGRTMIN + 1, f"signal number {signal.SIGRTMIN + 1}", 128 + signal.SIGRTMIN + 1),
    ],
)
def test_the_words_for_a_death(code: int, status: int, words: str, passed_on: int) -> None:
    assert policy.describe(code, status) == words
    assert policy.exit_status(code, status) == passed_on


def test_a_slot_that_is_forgiven_starts_anew() -> None:
    slot = Slot(0, None)
    slot.remember(1.0, WINDOW)
    slot.failed, slot.boot_failures = "6 deaths", 3
    assert not slot.idle
    slot.forgive()
    assert slot.idle
    assert (slot.failed, list(slot.deaths), slot.boot_failures) == ("", [], 0)


def test_setbacks_grow_apart_and_are_forgotten() -> None:
    setbacks, now, pauses = Setbacks(), 0.0, []
    for _ in range(6):
        setbacks.load_failed(now)
        assert setbacks.retry_at is not None
        pauses.append(setbacks.retry_at - now)
        assert not setbacks.expire(now + pauses[-1] - 0.001)
        now += pauses[-1]
        assert setbacks.expire(now)
    assert pauses[0] == policy.BOOT_PAUSE
    assert pauses[-1] >= 4.0
    assert setbacks.no_load
    setbacks.loaded()
    assert not setbacks.no_load


def test_forks_that_die_with_their_template_are_not_to_blame() -> None:
    setbacks = Setbacks()
    for _ in range(policy.BOOT_TRIES):
        setbacks.birth_failed(0.0)
    assert setbacks.no_forks
    setbacks.template_lost(1.0, 0.0)
    assert not setbacks.no_forks


def test_the_longest_rest_of_a_standby_wins() -> None:
    setbacks = Setbacks()
    setbacks.rest(5.0)
    setbacks.rest(2.0)
    assert setbacks.spare_at == 5.0
    setbacks.expire(5.0)
    assert setbacks.spare_at is None
