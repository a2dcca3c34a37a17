"""Stories of a pool, told event by event on a simulated system: boot, crash, slots."""

from __future__ import annotations

import pytest
from corepod.contract.exits import EXIT_APP, EXIT_BOOT, EXIT_BUDGET, EXIT_OK
from corepod.contract.messages import (
    Activate,
    Armed,
    Drain,
    Failed,
    Lame,
    Loaded,
)
from corepod.supervisor.pool.backoff import BOOT_PAUSE
from corepod.supervisor.pool.exits import Exit
from corepod.supervisor.pool.generation import CALM
from corepod.supervisor.pool.pool import ORPHANED_CONTROL
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, FAILED_BOOT, SIGKILL, System, messages, running

# Boot


def test_a_boot_step_by_step() -> None:
    system = System(2)
    (loader,) = system.at(Stage.LOADING)
    system.says(loader, Loaded(True, ""))
    assert len(system.at(Stage.FORKING)) == 2, "one for each slot; the standby comes when they have their workers"
    for fork in system.at(Stage.FORKING):
        system.hello(fork)
        system.says(fork, Armed())
    assert [system.worker(n).number for n in (0, 1)] == [1, 2]
    assert messages(system, system.worker(1)) == ["Activate(slot=1, worker=2, core=1, restarts=0, record=62, slots=2)"]
    system.ready(system.worker(0))
    assert system.pool.ever_ready
    assert system.log.lines == ["info ready"]
    assert not system.was_told(system.worker(0), Lame)
    assert (system.worker(0).stage, system.worker(1).stage) == (Stage.SERVING, Stage.STARTING)
    system.wait(CALM)
    (spare,) = system.at(Stage.FORKING)
    assert system.warm == {spare}, "the others were in a hurry"
    system.hello(spare)
    system.says(spare, Armed())
    assert system.pool.generations.current.standbys == [spare]


def test_where_nothing_may_be_forked_each_worker_loads_the_application() -> None:
    system = System(2)
    system.settle(forkable=False)
    assert not system.at(Stage.TEMPLATE)
    assert [system.worker(n).stage for n in (0, 1)] == [Stage.SERVING] * 2
    assert len(system.at(Stage.ARMED)) == 1
    assert system.log.has("workers are started one by one, not forked: 2 threads")


@pytest.mark.parametrize(("kind", "tries", "code"), [("missing", 1, EXIT_APP), ("exception", 3, EXIT_BOOT)])
def test_an_application_that_cannot_be_loaded(kind: str, tries: int, code: int) -> None:
    system = System(1)
    for number in range(tries):
        assert system.pool.exit_code is None
        system.wait(60.0 * number)
        system.fails(system.at(Stage.LOADING)[0], kind)
    assert system.pool.exit_code == code
    assert not system.alive


def test_before_somebody_who_watches_an_import_is_tried_once() -> None:
    system = System(1, attended=True)
    system.fails(system.at(Stage.LOADING)[0], "exception")
    assert system.pool.exit_code == EXIT_BOOT
    assert system.log.has("the application can't be loaded")
    assert not system.log.has("tries)")


def test_an_import_is_tried_as_often_as_ever_when_the_start_that_was_watched_is_over() -> None:
    """The database of an import may be away at night for a moment, when the only worker has died."""
    system = System(1, attended=True, preload="libraries", standby="none")
    system.settle()
    system.dies(system.worker(), SIGKILL)
    system.fails(system.until(Stage.IMPORTING), "exception")
    assert system.pool.exit_code is None
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_a_lifespan_that_fails_is_tried_three_times() -> None:
    system = System(1)
    for _ in range(3):
        assert system.pool.exit_code is None
        system.fails(system.until(Stage.STARTING))
    assert system.pool.exit_code == EXIT_BOOT
    assert system.slot().restarts == 0, "nothing has died"
    assert system.log.has("error no database")
    assert system.log.has("slot 0 is given up: its lifespan failed 3 times")
    assert not system.log.has("died")


def test_a_lifespan_that_fails_has_its_own_exit_code_where_the_last_one_is_passed_on() -> None:
    system = System(1, exit_code="worker")
    for _ in range(3):
        worker = system.until(Stage.STARTING)
        system.runs(worker)
        system.says(worker, Failed("exception", "no database", "Traceback"))
        system.dies(worker, Exit(7, 0, dumped=False, oom=False))
    assert system.pool.exit_code == EXIT_BOOT


@pytest.mark.parametrize(
    ("end", "code"), [(EXITED, EXIT_BUDGET), (Exit(7, 0, dumped=False, oom=False), 7), (SIGKILL, 137)]
)
def test_a_pool_that_gives_up_passes_on_how_its_last_worker_ended_unless_that_was_a_success(
    end: Exit, code: int
) -> None:
    system = running(exit_code="worker", crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker(), end)
        system.settle(quiet=1.0)
    assert system.pool.exit_code == code


def test_an_application_that_was_ready_once_is_tried_for_ever_without_a_budget() -> None:
    system = running(crash_budget=(0, 0.0), standby="none")
    system.dies(system.at(Stage.TEMPLATE)[0])
    system.dies(system.worker())
    for _ in range(5):
        system.wait(30.0)
        system.fails(system.at(Stage.LOADING)[0], "missing")
    assert system.pool.exit_code is None
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_an_application_that_was_never_ready_is_given_up_without_a_budget_too() -> None:
    system = System(1, crash_budget=(0, 0.0))
    for _ in range(3):
        system.fails(system.until(Stage.LOADING))
    assert system.pool.exit_code == EXIT_BOOT


def test_code_that_is_gone_ends_no_pool_that_had_loaded_it() -> None:
    system = System(1)
    system.until(Stage.FORKING)
    system.dies(system.at(Stage.TEMPLATE)[0])
    system.wait(1.0)
    system.fails(system.at(Stage.LOADING)[0], "missing")
    assert system.pool.exit_code is None
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_as_long_as_one_worker_serves_loading_may_fail() -> None:
    system = running(2, standby="none", forkable=False)
    system.dies(system.worker(1))
    for _ in range(4):
        system.fails(system.until(Stage.LOADING))
        system.wait(30.0)
    assert system.pool.exit_code is None
    assert system.worker(0).stage is Stage.SERVING


@pytest.mark.parametrize(("end", "words"), [(SIGKILL, "signal SIGKILL"), (FAILED_BOOT, "exit code 3")])
def test_a_bootstrap_that_dies_without_a_word(end: Exit, words: str) -> None:
    system = System(1)
    system.dies(system.at(Stage.LOADING)[0], end)
    assert system.log.lines == [f"error ended before it was ready: {words}"]
    assert not system.at(Stage.LOADING), "a moment of patience"
    system.wait(BOOT_PAUSE)
    assert len(system.at(Stage.LOADING)) == 1


def test_a_load_that_works_clears_those_before_it() -> None:
    system = System(1)
    for _ in range(3):
        for _ in range(2):
            system.fails(system.until(Stage.LOADING))
        system.dies(system.until(Stage.TEMPLATE))
    assert system.pool.exit_code is None


def test_a_traceback_is_news_again_after_a_worker_was_ready() -> None:
    system = running(crash_budget=(0, 0.0))
    for _ in range(2):
        system.dies(system.worker())
        system.fails(system.until(Stage.STARTING))
        system.settle()
    assert sum("Traceback" in line for line in system.log.lines) == 2


def test_a_failed_boot_that_is_read_with_the_death() -> None:
    system = System(1)
    (loader,) = system.at(Stage.LOADING)
    system.says(loader, Failed("exception", "the application raised ValueError", "Traceback: x"))
    system.dies(loader, SIGKILL)
    assert system.log.has("the application raised ValueError\nTraceback: x")


# Crash


def test_the_standby_takes_over_at_once() -> None:
    system = running()
    old, standby = system.worker(), system.pool.generations.current.standbys[0]
    assert standby is not None
    system.dies(old)
    assert system.worker() is standby
    assert standby.stage is Stage.STARTING
    assert messages(system, standby) == ["Activate(slot=0, worker=2, core=0, restarts=1, record=63, slots=1)"]
    assert not system.forks, "the core belongs to the next worker for a moment"
    system.wait(CALM)
    assert len(system.forks) == 1
    assert (system.slot().restarts, system.slot().reasons) == (1, {"signal SIGKILL": 1})
    assert system.slot().last_exit == "signal SIGKILL"
    assert system.log.has("and 1 requests; lost 1 in flight: unnamed; restarting (death 1 of 5 in 60 s)")


def test_two_that_die_at_once_get_their_workers_in_the_order_of_their_deaths() -> None:
    system = running(3)
    system.now += 1.0
    system.dies(system.worker(2))
    system.now += 1.0
    system.dies(system.worker(1))
    system.now += 1.0
    system.dies(system.worker(0))
    assert system.slot(2).worker is not None
    assert [system.slot(n).worker for n in (0, 1)] == [None, None]
    first, _ = system.forks
    system.hello(first)
    system.says(first, Armed())
    assert system.slot(1).worker is first


def test_a_slot_beyond_its_budget_is_given_up_and_the_last_one_ends_the_pool() -> None:
    system = running(2, crash_budget=(2, 60.0))
    for slot in (0, 1):
        for _ in range(3):
            assert system.pool.exit_code is None
            system.settle()
            system.dies(system.worker(slot), Exit(7, 0, dumped=False, oom=False))
    assert system.slot(0).failed == "3 deaths in 60 s, and the crash budget allows 2"
    assert system.log.has("error slot 0 is given up: 3 deaths in 60 s, and the crash budget allows 2")
    assert system.pool.exit_code == EXIT_BUDGET
    assert system.log.has("every slot is given up: the pool exits")


def test_the_last_exit_code_is_passed_on_where_that_is_asked_for() -> None:
    system = running(crash_budget=(0 + 1, 60.0), exit_code="worker")
    for _ in range(2):
        system.settle()
        system.dies(system.worker(), Exit(0, 11, dumped=True, oom=False))
    assert system.pool.exit_code == 128 + 11


def test_without_a_budget_the_pauses_grow() -> None:
    system, pauses = running(crash_budget=(0, 0.0)), []
    for _ in range(4):
        system.dies(system.worker())
        retry_at = system.slot().retry_at
        pauses.append((retry_at or system.now) - system.now)
        system.settle()
    assert pauses == [0.0, 0.375, 0.75, 1.5]


def test_a_standby_that_dies_before_its_first_tick_as_a_worker_costs_the_slot_nothing() -> None:
    system = running()
    system.dies(system.worker())
    system.dies(system.worker())
    assert system.slot().restarts == 1
    assert system.log.has("the standby ended before it could take its place: signal SIGKILL")
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_where_nothing_is_forked_a_standby_that_dies_before_its_first_tick_is_made_again_after_a_moment() -> None:
    system = running(forkable=False)
    system.dies(system.worker())
    system.dies(system.worker())
    assert not system.at(Stage.LOADING)
    system.wait(BOOT_PAUSE)
    assert len(system.at(Stage.LOADING)) == 1


def test_who_loses_its_control_socket_is_killed_for_it() -> None:
    system = running()
    worker = system.worker()
    system.loses(worker)
    system.wait(ORPHANED_CONTROL - 0.1)
    assert worker not in system.killed
    system.wait(0.1)
    assert worker in system.killed
    assert system.slot().reasons == {"control closed": 1}


# Slots


def test_a_slot_more_gets_a_worker_and_a_slot_less_drains_its() -> None:
    system = running()
    system.pool.add_slot(5)
    system.settle()
    added = system.worker(1)
    assert any(isinstance(m, Activate) and (m.core, m.slots) == (5, 2) for p, m in system.told if p is added)
    system.pool.remove_slot(system.now)
    system.tick()
    assert added.stage is Stage.DRAINING
    assert messages(system, added)[-1] == "Drain(within=30.0, linger=5.0)"
    system.settle()
    assert len(system.pool.workers) == 1


def test_without_the_slot_that_still_worked_the_others_get_another_chance() -> None:
    system = running(2, crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker(0))
        system.settle()
    assert system.slot(0).failed
    system.pool.remove_slot(system.now)
    system.settle()
    assert system.worker(0).stage is Stage.SERVING
    for _ in range(2):
        assert system.pool.exit_code is None
        system.dies(system.worker(0))
        system.settle()
    assert system.pool.exit_code == EXIT_BUDGET


def test_a_pool_that_stops_gives_no_slot_another_chance() -> None:
    system = running(2, crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker(0))
        system.settle()
    system.pool.lame(system.now)
    system.pool.remove_slot(system.now)
    assert system.pool.exit_code == EXIT_OK


def test_slots_are_numbered_without_a_gap() -> None:
    system = running(3)
    system.pool.remove_slot(system.now)
    system.pool.add_slot(None)
    system.pool.add_slot(None)
    assert [slot.number for slot in system.pool.slots] == [0, 1, 2, 3]


def test_a_slot_that_goes_in_the_middle_of_a_reload_tells_each_of_its_workers_once() -> None:
    system = running(2)
    old = system.worker(1)
    system.pool.request_reload()
    while system.slot(1).retiring != [old]:
        system.tick()
        system.goes_on()
    new = system.worker(1)
    system.pool.remove_slot(system.now)
    for process in (old, new):
        assert sum(isinstance(m, Drain) for p, m in system.told if p is process) == 1
    system.settle()
    assert [p.generation for p in system.pool.workers] == [2]
    assert not system.pool.generations.reloading
