"""What follows the end of a slot's worker, as a table, and the crash budget for any times of death."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.contract.exits import EXIT_BOOT, EXIT_BUDGET
from corepod.supervisor.pool.backoff import BOOT_PAUSE
from corepod.supervisor.pool.restarts import Budget, GiveUp, Loss, RestartNow, Wait, decide, outlook
from hypothesis import given, settings
from hypothesis import strategies as st

NOW = 100.0
FIVE, NONE = Budget(5, 60.0), Budget(0, 0.0)
SPENT = GiveUp(EXIT_BUDGET, "6 deaths in 60 s, and the crash budget allows 5")
SPENT_ONE = GiveUp(EXIT_BUDGET, "2 deaths in 2.5 s, and the crash budget allows 1")
BOOTS = "its lifespan failed 3 times"


def loss(**facts: Any) -> Loss:
    defaults = {"failed_boot": False, "boot_failures": 0, "deaths": [NOW], "streak": 1, "ever_ready": True}
    return Loss(**{**defaults, **facts})


def boot(failures: int, **facts: Any) -> Loss:
    return loss(failed_boot=True, boot_failures=failures, deaths=[], streak=failures, **facts)


@pytest.mark.parametrize(
    ("case", "budget", "verdict"),
    [
        # Deaths, with a budget
        (loss(), FIVE, RestartNow()),
        (loss(deaths=[NOW - n for n in (40, 30, 20, 10, 0)], streak=5), FIVE, RestartNow()),
        (loss(deaths=[NOW - n for n in (59, 40, 30, 20, 10, 0)]), FIVE, SPENT),
        (loss(deaths=[NOW - n for n in (60, 40, 30, 20, 10, 0)]), FIVE, RestartNow()),
        (loss(deaths=[NOW - 1, NOW]), Budget(1, 2.5), SPENT_ONE),
        (loss(deaths=[NOW - n for n in (9, 8, 7, 6, 5, 0)], ever_ready=False), FIVE, SPENT),
        # Deaths, without one
        (loss(), NONE, RestartNow()),
        (loss(streak=2), NONE, Wait(0.375)),
        (loss(deaths=[NOW] * 9), Budget(0, 60.0), RestartNow()),
        (loss(streak=3, deaths=[NOW] * 50), NONE, Wait(0.75)),
        (loss(streak=100), NONE, Wait(22.5)),
        # Failed boots
        (boot(1), FIVE, Wait(BOOT_PAUSE)),
        (boot(2), FIVE, Wait(BOOT_PAUSE)),
        (boot(3), FIVE, GiveUp(EXIT_BOOT, BOOTS)),
        (boot(3, ever_ready=False), FIVE, GiveUp(EXIT_BOOT, BOOTS)),
        (boot(1), NONE, Wait(BOOT_PAUSE)),
        (boot(3), NONE, Wait(0.75)),
        (boot(100), NONE, Wait(22.5)),
        (boot(2, ever_ready=False), NONE, Wait(0.375)),
        (boot(3, ever_ready=False), NONE, GiveUp(EXIT_BOOT, BOOTS)),
        # A failed boot of the worker that had taken over from one beyond the budget
        (loss(failed_boot=True, boot_failures=1, deaths=[NOW] * 6), FIVE, SPENT),
        (loss(failed_boot=True, boot_failures=1, deaths=[NOW - 60] * 6), FIVE, Wait(BOOT_PAUSE)),
    ],
)  # fmt: skip
def test_the_verdict(case: Loss, budget: Budget, verdict: RestartNow | Wait | GiveUp) -> None:
    assert decide(case, budget, NOW, 0.5) == verdict


@settings(deadline=None)
@given(st.lists(st.floats(0, 600), min_size=1, max_size=40).map(sorted), st.integers(1, 6), st.floats(1, 120))
def test_the_budget_is_that_of_any_window(deaths: list[float], limit: int, window: float) -> None:
    now = deaths[-1]
    recent = [death for death in deaths if now - death < window]
    verdict = decide(loss(deaths=deaths), Budget(limit, window), now, 0.5)
    assert isinstance(verdict, GiveUp) == (len(recent) > limit)


@settings(deadline=None)
@given(st.integers(1, 1000), st.booleans(), st.floats(0, 1))
def test_without_a_budget_what_was_ready_once_is_never_given_up(streak: int, failed_boot: bool, random: float) -> None:
    case = loss(failed_boot=failed_boot, boot_failures=streak, deaths=[NOW] * streak, streak=streak)
    assert not isinstance(decide(case, NONE, NOW, random), GiveUp)


@pytest.mark.parametrize(
    ("verdict", "budget", "text"),
    [
        (RestartNow(), FIVE, "; restarting (death 1 of 5 in 60 s)"),
        (RestartNow(), NONE, "; restarting"),
        (Wait(1.25), NONE, "; restarting in 1.2 s"),
        (GiveUp(EXIT_BUDGET, "6 deaths"), FIVE, ""),
    ],
)
def test_what_a_line_about_a_death_says_of_what_follows(
    verdict: RestartNow | Wait | GiveUp, budget: Budget, text: str
) -> None:
    assert outlook(verdict, loss(deaths=[NOW - 70, NOW]), budget, NOW) == text
