from __future__ import annotations

from corepod.shared.readiness import FAILURES, LOOK, LOOK_AGAIN, Verdict
from hypothesis import given
from hypothesis import strategies as st


def test_one_failure_isn_t_an_outage() -> None:
    verdict = Verdict()
    for failure in ("", "lost", "", "lost", ""):
        verdict.looked(failure)
        assert verdict.why == ""


def test_it_looks_again_soon_and_is_ready_at_the_first_answer() -> None:
    verdict = Verdict()
    verdict.looked("away")
    assert verdict.pause(0.0) == LOOK_AGAIN
    verdict.looked("away")
    assert verdict.why == "away"
    verdict.looked("")
    assert verdict.why == ""
    assert verdict.pause(0.0) == LOOK


@given(st.lists(st.booleans()))
def test_not_ready_means_that_the_last_looks_failed(looks: list[bool]) -> None:
    verdict = Verdict()
    for number, well in enumerate(looks, 1):
        verdict.looked("" if well else "away")
        failed = number >= FAILURES and not any(looks[number - FAILURES : number])
        assert bool(verdict.why) == failed
