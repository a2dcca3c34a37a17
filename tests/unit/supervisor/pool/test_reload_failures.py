"""Stories of a reload to code that fails, told event by event on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.messages import Armed
from corepod.supervisor.pool.backoff import BOOT_PAUSE
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, running


def test_the_old_codes_failures_do_not_end_a_reload() -> None:
    system = running(2, standby="none")
    system.pool.request_reload()
    system.tick()
    system.dies(system.worker(0))
    old = system.forks[0]
    system.hello(old)
    system.says(old, Armed())
    system.fails(old)
    assert not system.log.has("reload aborted")
    system.settle()
    assert [system.worker(n).generation for n in (0, 1)] == [2, 2]


def test_the_new_code_may_fail_twice_more_when_it_has_proved_itself() -> None:
    system = running(2)
    old = system.worker(1)
    for _ in range(2):  # a second reload starts to count anew
        system.pool.request_reload()
        system.tick()
        system.ready(system.until(Stage.STARTING))
        for _ in range(2):
            system.fails(system.until(Stage.STARTING))
            assert system.pool.generations.reloading
            assert not system.at(Stage.STARTING), "after a pause"
            assert system.pool.slots[1].retry_at == system.now + BOOT_PAUSE
        system.settle()
        assert system.worker(1) is not old
        assert not system.log.has("reload aborted")


def test_new_code_that_fails_three_times_stays_where_it_serves() -> None:
    system = running(3)
    old = [system.worker(n) for n in range(3)]
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    for _ in range(3):
        system.fails(system.until(Stage.STARTING))
    line = "error reload aborted: a new worker didn't become ready; the present workers stay"
    assert line + " (new code in slot 0; reload again to change the others)" in system.log.lines
    system.settle()
    assert [system.worker(n) for n in (1, 2)] == old[1:]
    assert system.worker(0).generation == 2
    assert not system.pool.generations.reloading


def test_crashes_of_new_code_that_was_ready_do_not_end_the_reload() -> None:
    system = running(2)
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    second = system.until(Stage.STARTING)
    for _ in range(4):
        system.dies(system.worker(0))
        while system.slot(0).worker is None or system.worker(0).stage is not Stage.SERVING:
            system.goes_on(but=second)
    assert system.pool.generations.reloading
    assert not system.log.has("reload aborted")


def test_new_code_that_crashes_while_the_old_worker_still_drains_is_restarted_at_once() -> None:
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    new = system.until(Stage.STARTING)
    system.ready(new)
    standby = system.until(Stage.ARMED)
    system.dies(new)
    assert system.slot().retiring == [old]
    assert system.worker() is standby


def test_a_slot_whose_new_worker_only_starts_does_not_count_as_changed() -> None:
    system = running(2)
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    for _ in range(2):
        system.fails(system.until(Stage.STARTING))
    third = system.until(Stage.STARTING)
    system.dies(system.worker(0))
    while (worker := system.slot(0).worker) is None:
        system.goes_on(but=third)
    assert worker.stage is Stage.STARTING
    system.fails(third)
    assert system.log.lines[-1].endswith("the present workers stay")


def test_a_reload_is_done_without_the_slots_that_are_given_up() -> None:
    system = running(2, crash_budget=(1, 60.0))
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    second = system.until(Stage.STARTING)
    for _ in range(2):
        while not (worker := system.slot(0).worker) or worker.stage is not Stage.SERVING:
            system.goes_on(but=second)
        system.dies(worker)
    assert system.slot(0).failed
    system.ready(second)
    assert system.log.has("reload: done")
    assert (system.slot(0).waits_for, system.slot(0).worker) == (0, None)


def test_a_fork_of_the_new_code_that_dies_does_not_end_the_reload() -> None:
    system = running()
    system.pool.request_reload()
    system.tick()
    system.dies(system.until(Stage.ARMING))
    assert not system.log.has("reload aborted")
    system.settle()
    assert system.worker().generation == 2


def test_new_code_that_loads_once_and_then_fails_three_times_is_given_up() -> None:
    system = running(forkable=False)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    for _ in range(3):
        assert not system.log.has("reload aborted")
        system.dies(system.until(Stage.ARMING))
    assert system.log.has("reload aborted: the new code can't be loaded")
    system.settle()
    assert system.worker() is old


def test_pauses_of_new_code_are_not_cut_short_by_its_own_reload() -> None:
    system = running(2, crash_budget=(0, 0.0))
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    second = system.until(Stage.STARTING)
    assert system.slot(1).incoming is second
    system.dies(system.worker(0))
    while system.slot(0).worker is None:
        system.wait(0.1)
        system.goes_on(but=second)
    system.runs(system.worker(0))
    system.dies(system.worker(0))
    system.ready(second)
    assert system.pool.generations.reloading
    assert system.slot(0).retry_at == system.now + 0.375


def test_without_overlap_a_new_worker_that_is_killed_is_followed_at_once() -> None:
    system = running(2, overlap=False)
    olds = [system.worker(0), system.worker(1)]
    system.pool.request_reload()
    system.tick()
    for number, old in enumerate(olds):
        while old.stage is Stage.SERVING:
            system.goes_on()
        system.dies(old, EXITED)
        system.until(Stage.STARTING)
        if number == 0:
            system.ready(system.worker(0))
    system.runs(system.worker(1))
    system.dies(system.worker(1))
    assert system.slot(1).retry_at is None
    assert system.slot(1).waits_for or system.slot(1).worker


def test_failed_boots_after_a_reload_do_not_give_it_up() -> None:
    system = running()
    system.pool.request_reload()
    system.settle()
    system.dies(system.worker())
    for _ in range(3):
        system.fails(system.until(Stage.STARTING))
    assert system.log.has("slot 0 is given up")
    assert not system.log.has("reload aborted")


def test_a_slot_that_the_new_code_has_used_up_does_not_count_as_changed() -> None:
    system = running(3, crash_budget=(1, 60.0))
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    for _ in range(2):
        while not (worker := system.slot(0).worker) or worker.stage is not Stage.SERVING:
            system.goes_on(but=system.slot(1).incoming)
        system.dies(worker)
    assert system.slot(0).failed
    for _ in range(3):
        system.fails(system.until(Stage.STARTING))
    assert system.log.lines[-1].endswith("the present workers stay")


@pytest.mark.parametrize("at", [Stage.LOADING, Stage.STARTING])
def test_broken_code_changes_nothing(at: Stage) -> None:
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    system.fails(system.until(at))
    assert system.log.has("error no database")
    why = "the new code can't be loaded" if at is Stage.LOADING else "a new worker didn't become ready"
    assert f"error reload aborted: {why}; the present workers stay" in system.log.lines
    assert (system.slot().restarts, system.slot().last_exit) == (0, None)
    system.settle()
    assert system.worker() is old
    assert old.stage is Stage.SERVING
    assert [g.number for g in system.pool.generations.all] == [1]
    system.dies(old)
    system.settle()
    assert system.worker().generation == 1


def test_broken_code_without_overlap_gives_the_slot_back_to_the_old_code() -> None:
    system = running(overlap=False)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    while old.stage is Stage.SERVING:
        system.goes_on()
    system.dies(old, EXITED)
    system.fails(system.until(Stage.STARTING))
    assert system.log.has("reload aborted: a new worker didn't become ready")
    system.settle()
    assert system.worker().generation == 1
