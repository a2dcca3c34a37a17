"""Stories of a reload, told event by event on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.messages import (
    Loaded,
)
from corepod.supervisor.pool.reload import AFRESH
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, messages, running


def test_a_reload_overlaps_and_goes_slot_by_slot() -> None:
    system = running(2)
    old = [system.worker(0), system.worker(1)]
    system.pool.request_reload()
    system.tick()
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    while not system.at(Stage.STARTING):
        system.advance(next(p for s in (Stage.FORKING, Stage.ARMING) for p in system.at(s)))
    assert system.slot(0).worker is old[0], "it serves until its successor does"
    assert system.slot(1).incoming is None, "one at a time"
    system.ready(system.at(Stage.STARTING)[0])
    assert system.slot(0).retiring == [old[0]]
    assert messages(system, old[0])[-1] == "Drain(within=30.0, linger=6.0)"
    system.settle()
    assert [system.worker(n).generation for n in (0, 1)] == [2, 2]
    assert system.log.has("reload: done in")


def test_without_overlap_the_next_lifespan_waits_for_the_end_of_the_last() -> None:
    system = running(overlap=False)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    while old.stage is Stage.SERVING:
        moving = [p for s in (Stage.LOADING, Stage.FORKING, Stage.ARMING) for p in system.at(s)]
        system.advance(moving[0])
    assert (system.slot().worker, system.slot().retiring) == (None, [old])
    system.wait(29.0)
    assert system.slot().worker is None
    system.dies(old, EXITED)
    assert system.slot().waits_for == 2 or system.worker().generation == 2
    system.settle()
    assert system.worker().generation == 2


@pytest.mark.parametrize("at", [Stage.LOADING, Stage.STARTING])
def test_broken_code_changes_nothing(at: Stage) -> None:
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    while not system.at(at):
        system.advance(next(p for s in (Stage.LOADING, Stage.FORKING, Stage.ARMING) for p in system.at(s)))
    system.fails(system.at(at)[0])
    assert system.log.has("reload: given up")
    system.settle()
    assert system.worker() is old
    assert old.stage is Stage.SERVING
    assert [g.number for g in system.pool.generations.all] == [1]
    system.dies(old)
    system.settle()
    assert system.worker().generation == 1


def test_a_storm_of_reloads_is_a_few_and_the_last_one_counts() -> None:
    system = running()
    for _ in range(50):
        system.pool.request_reload()
        system.tick()
    assert system.pool.generations.all[-1].number == 2
    system.wait(AFRESH)
    assert system.pool.generations.all[-1].number == 3
    system.settle()
    assert system.worker().generation == 3


def test_a_slot_that_was_given_up_gets_the_new_code() -> None:
    system = running(2, crash_budget=(1, 60.0))
    for _ in range(2):
        system.settle()
        system.dies(system.worker(0))
    assert system.slot(0).failed
    system.pool.request_reload()
    system.settle()
    assert [system.worker(n).generation for n in (0, 1)] == [2, 2]
    assert not system.slot(0).failed


def test_no_slot_is_lost_where_two_reloads_and_three_deaths_meet() -> None:
    """The worker of generation 2 has become the slot's worker because the old one died, a second reload has taken the
    place of its generation, and then it dies before its first tick."""
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    while not system.at(Stage.STARTING):
        system.advance(next(p for s in (Stage.LOADING, Stage.FORKING, Stage.ARMING) for p in system.at(s)))
    second = system.slot().incoming
    assert second is not None
    system.dies(old)
    assert system.slot().worker is second
    system.pool.request_reload()
    system.wait(AFRESH)
    assert [g.number for g in system.pool.generations.all] == [1, 3]
    system.dies(next(p for p in system.at(Stage.LOADING) if p.generation == 3))
    assert system.log.has("reload: given up")
    system.dies(second)
    slot = system.slot()
    assert slot.worker or slot.waits_for or slot.retry_at, "the slot waits for its next worker"
    assert system.log.has("the standby ended before it took its place")
    system.settle()
    assert system.worker().stage is Stage.SERVING
    assert system.worker().generation == 1
