"""Passed, failed, invalid; each threshold alone can fail a run."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from corepod.hit.exchange import OK, REFUSED, SERVER_ERROR

from loadtest.run import Run
from loadtest.tally import Sample, Tally
from loadtest.verdict import EXIT_CODES, FAILED, INVALID, PASSED, Thresholds, judge
from tests.unit.loadtest.samples import FIRST, KILL, NEXT, tally

if TYPE_CHECKING:
    from pathlib import Path

LIMITS = Thresholds()


def failing(verdict: Any) -> list[str]:
    return [check.name for check in verdict.checks if not check.good]


def test_a_run_whose_only_losses_were_in_flight_passes() -> None:
    verdict = judge(tally(), [KILL], LIMITS, cpu=0.2, workers=2)
    assert (verdict.state, verdict.exit_code, failing(verdict)) == (PASSED, 0, [])


def test_the_same_failures_without_a_fault_fail() -> None:
    assert failing(judge(tally(), [], LIMITS)) == ["errors"]


@pytest.mark.parametrize(
    ("name", "limits", "more", "event"),
    [
        ("errors", LIMITS, (Sample("/a", 101.5, 0.1, SERVER_ERROR, FIRST),), KILL),
        ("refused", replace(LIMITS, errors=1), (Sample("/a", 101.0, 0.0, REFUSED),), KILL),
        ("lost", replace(LIMITS, lost=1), (), KILL),
        ("p95", replace(LIMITS, p95=0.3), (), KILL),
        ("p99", replace(LIMITS, p99=0.3), (), KILL),
        ("recovery", LIMITS, (), replace(KILL, back=2.1)),
        ("recovery", LIMITS, (), replace(KILL, back=None)),
        ("answer", LIMITS, (), replace(KILL, answer=2.1)),
        ("answer", LIMITS, (), replace(KILL, answer=None)),
        ("balance", LIMITS, tuple(Sample("/a", 102.0, 0.1, OK, NEXT) for _ in range(9)), KILL),
    ],
)
def test_each_threshold_alone_fails_a_run(name: str, limits: Thresholds, more: tuple[Sample, ...], event: Any) -> None:
    verdict = judge(tally(*more), [event], limits, cpu=0.2)
    assert (verdict.state, failing(verdict)) == (FAILED, [name])


def test_a_worker_that_never_answered_fails_the_balance() -> None:
    assert failing(judge(tally(), [KILL], LIMITS, workers=3)) == ["balance"]


@pytest.mark.parametrize(
    ("more", "cpu"),
    [((Sample("/a", 102.0, 0.3, OK, FIRST, scheduled=True, late=0.2),), 0.2), ((), 0.95)],
    ids=["late", "cpu"],
)
def test_a_generator_that_was_too_busy_makes_the_run_invalid_not_slow(more: tuple[Sample, ...], cpu: float) -> None:
    slow = replace(LIMITS, p95=0.01)
    verdict = judge(tally(*more), [KILL], slow, cpu=cpu)
    assert (verdict.state, verdict.exit_code) == (INVALID, 4)


def test_no_requests_are_no_success() -> None:
    assert judge(Tally(), [], LIMITS).state == INVALID


def test_below_zero_is_not_asked_for() -> None:
    none = Thresholds(*[-1] * 11)
    assert failing(judge(tally(Sample("/a", 101.0, 9.0, SERVER_ERROR)), [replace(KILL, back=None)], none)) == []


def test_a_ramp_is_judged_by_the_rate_it_found() -> None:
    limits = Thresholds(rate=40, p95=0.01)
    assert judge(tally(), [], limits, cpu=2.0, highest=40.0).state == PASSED
    assert judge(tally(), [], limits, cpu=2.0, highest=39.0).state == FAILED


def test_every_verdict_has_an_exit_code_of_its_own() -> None:
    assert len(set(EXIT_CODES.values())) == 3
    assert EXIT_CODES[PASSED] == 0


def test_a_run_survives_its_file(tmp_path: Path) -> None:
    run = Run(100.0, 103.0, tally(), [KILL], about={"target": "http://x"}, limits=LIMITS, cpu=0.2, workers=2)
    run.write(tmp_path / "deep/run.json")
    assert Run.read(tmp_path / "deep/run.json").as_dict() == run.as_dict()
    assert json.loads((tmp_path / "deep/run.json").read_text())["verdict"]["state"] == PASSED


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"version": 0}', '{"version": 1}'])
def test_a_file_that_is_no_run_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "odd.json").write_text(text)
    with pytest.raises(ValueError, match=r"odd\.json is no result"):
        Run.read(tmp_path / "odd.json")


def test_what_nobody_saw_is_taken_from_the_answers() -> None:
    run = Run(100.0, 103.0, tally(), [replace(KILL, back=None)])
    run.settle()
    assert run.events[0].back == pytest.approx(0.35)
