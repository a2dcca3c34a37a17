"""Stories of the template, its forks, and refusals of the system, told event by event on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.exits import EXIT_BOOT
from corepod.contract.messages import Loaded, Refused, Unforkable
from corepod.supervisor.pool.backoff import FORK_PAUSE, LONGEST_FORK_PAUSE, REFUSAL_PAUSE
from corepod.supervisor.pool.generation import ARM_TIMEOUT, CALM
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.pool.template import FORK_TIMEOUT

from tests.unit.supervisor.pool.system import System, running


def test_a_template_that_hangs_is_replaced() -> None:
    system = running()
    (template,) = system.at(Stage.TEMPLATE)
    system.dies(system.worker())
    system.wait(CALM)
    (fork,) = system.forks
    system.wait(FORK_TIMEOUT)
    assert template in system.killed
    assert fork not in system.open
    system.settle()
    assert system.at(Stage.TEMPLATE) != [template]
    assert len(system.at(Stage.ARMED)) == 1


def test_a_template_that_hangs_has_failed_once_however_many_forks_it_owes() -> None:
    system = System(3)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    forks = list(system.forks)
    system.wait(FORK_TIMEOUT)
    assert len(forks) == 3
    assert not system.open.intersection(forks)
    assert not system.forks, "nothing is asked of a template that has been killed"
    system.settle()
    assert len(system.at(Stage.TEMPLATE)) == 1, "the next one forks"
    assert not system.log.has("one by one")


def test_a_template_that_dies_is_made_again_at_once_however_many_forks_die_with_it() -> None:
    system = System(8)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    forks = list(system.forks)
    system.dies(system.at(Stage.TEMPLATE)[0])
    assert len(forks) == 8
    assert not system.forks
    system.wait(0.0)
    assert len(system.at(Stage.LOADING)) == 1


def test_a_fork_that_ends_before_it_said_hello_is_made_again_and_costs_the_template_nothing() -> None:
    system = running()
    (template,) = system.at(Stage.TEMPLATE)
    system.dies(system.worker())
    system.wait(CALM)
    (fork,) = system.forks
    system.loses(fork)
    assert fork not in system.forks
    assert len(system.forks) == 1
    system.settle()
    assert system.at(Stage.TEMPLATE) == [template]


def test_forks_that_die_after_their_template_are_not_to_blame() -> None:
    system = System(3)
    system.until(Stage.FORKING)
    forks = list(system.forks)
    for fork in forks:
        system.hello(fork)
    system.dies(system.at(Stage.TEMPLATE)[0])
    for fork in forks:
        system.dies(fork)
    system.settle()
    assert len(system.at(Stage.TEMPLATE)) == 1
    assert not system.log.has("one by one")


def test_a_template_that_has_grown_threads_is_replaced_by_processes_that_load_the_application() -> None:
    system = running()
    (template,) = system.at(Stage.TEMPLATE)
    system.says(template, Unforkable("2 threads"))
    assert template in system.killed
    assert system.log.has("from now on workers are started one by one, not forked: 2 threads")
    system.reap()
    assert not system.log.has("template is gone")
    system.dies(system.worker())
    system.wait(CALM)
    assert len(system.at(Stage.LOADING)) == 1
    assert [load.role for load in system.loads.values()] == ["template", "worker"]
    system.settle(forkable=False)
    assert len(system.at(Stage.ARMED)) == 1


def test_a_template_that_keeps_dying_is_made_at_growing_pauses() -> None:
    system, pauses = running(), []
    for _ in range(4):
        system.dies(system.at(Stage.TEMPLATE)[0])
        died = system.now
        while not system.at(Stage.LOADING):
            system.wait(0.125)
        pauses.append(system.now - died)
        system.until(Stage.TEMPLATE)
    assert pauses == [0.0, 0.375, 0.75, 1.5]
    assert sum("template is gone (signal SIGKILL) and another one is started" in line for line in system.log.lines) == 4


def test_the_reaper_knows_whether_a_fork_is_under_way() -> None:
    system = System(2)
    assert not system.pool.generations.forking
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert system.pool.generations.forking
    for fork in list(system.forks):
        system.hello(fork)
    assert not system.pool.generations.forking


def test_where_nothing_is_forked_candidates_that_die_three_times_end_the_pool() -> None:
    system = System(1, forkable=False)
    for _ in range(3):
        assert system.pool.exit_code is None
        system.dies(system.until(Stage.ARMING))
    assert system.pool.exit_code == EXIT_BOOT
    assert system.log.has("the application can't be loaded (3 tries)")
    assert {load.role for load in system.loads.values()} == {"worker"}


def test_a_template_that_hangs_has_failed_once_even_if_it_takes_its_time_to_die() -> None:
    system = System(1)
    system.until(Stage.FORKING)
    system.pool.add_slot(None)
    system.tick()
    assert len(system.forks) == 2
    for _ in range(int(1.5 * FORK_TIMEOUT)):
        system.now += 1.0
        system.tick()
    assert len(system.killed) == 1
    assert not system.forks
    system.reap()
    assert len(system.at(Stage.LOADING)) == 1, "without a pause"


def test_a_template_that_hangs_three_times_is_used_no_more() -> None:
    system = System(1)
    for _ in range(3):
        system.until(Stage.FORKING)
        system.wait(FORK_TIMEOUT)
    system.wait(1.0)
    assert system.log.has("3 forks in a row didn't get ready")
    system.settle(forkable=False)
    assert system.worker().stage is Stage.SERVING


def test_forks_that_end_because_their_template_is_killed_are_no_failures() -> None:
    system = System(1)
    system.until(Stage.FORKING)
    system.wait(FORK_TIMEOUT / 2)
    for _ in range(4):
        system.pool.add_slot(None)
    system.wait(FORK_TIMEOUT / 2)
    assert not system.at(Stage.TEMPLATE)
    assert len(system.at(Stage.LOADING)) == 1, "without a pause"
    system.settle()
    assert not system.log.has("one by one")


def test_a_fork_that_gets_ready_clears_those_before_it() -> None:
    system = System(1)
    for _ in range(3):
        for _ in range(2):
            system.dies(system.until(Stage.ARMING))
        system.settle()
        system.dies(system.worker())
    assert len(system.at(Stage.TEMPLATE)) == 1


@pytest.mark.parametrize("how", ["dies", "fails", "hangs"])
def test_three_forks_in_a_row_that_die_end_forking(how: str) -> None:
    system = System(1)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    for _ in range(3):
        while not system.forks:
            system.wait(0.5)
        system.hello(system.forks[0])
        if how == "dies":
            system.dies(system.at(Stage.ARMING)[0])
        elif how == "fails":
            system.fails(system.at(Stage.ARMING)[0])
        else:
            system.wait(ARM_TIMEOUT)
    system.wait(1.0)
    assert system.log.has("3 forks in a row didn't get ready")
    assert not system.at(Stage.TEMPLATE)
    system.fails(system.at(Stage.LOADING)[0])
    system.settle(forkable=False, quiet=FORK_PAUSE / 2)
    assert system.worker().stage is Stage.SERVING
    assert sum("one by one" in line for line in system.log.lines) == 1


def test_a_pool_that_stops_decides_no_more_about_forks() -> None:
    system = System(1)
    for _ in range(3):
        system.dies(system.until(Stage.ARMING))
    assert system.pool.deadline() is not None
    system.pool.drain(10.0, system.now)
    assert system.pool.deadline() is None
    system.wait(60.0)
    assert not system.log.has("one by one")


def test_a_fork_that_does_not_get_ready_is_killed() -> None:
    system = System(1)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    fork = system.forks[0]
    system.hello(fork)
    system.wait(ARM_TIMEOUT)
    assert fork in system.killed
    assert system.log.has("error ended before it was ready: it didn't get ready within 30 s")
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_a_refusal_is_told_and_tried_again() -> None:
    system = running()
    system.refuses = True
    system.dies(system.worker())
    system.wait(CALM)
    refusals = ["error can't start a process: Resource temporarily unavailable; trying again"]
    assert [line.partition(" (")[0] for line in system.log.lines if "start a process" in line] == refusals
    system.wait(REFUSAL_PAUSE - 0.01)
    assert len([line for line in system.log.lines if "start a process" in line]) == 1
    system.wait(0.01)
    assert len([line for line in system.log.lines if "start a process" in line]) == 2
    system.refuses = False
    system.settle()
    assert len(system.at(Stage.ARMED)) == 1


def test_a_refusal_without_a_number_is_told_in_its_own_words() -> None:
    system = System(1)
    system.refuses, system.refusal = True, OSError("no room for descriptors")
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert system.log.has("can't start a process: no room for descriptors")


def test_where_one_process_is_refused_the_others_are_not_asked_for() -> None:
    system = System(3)
    system.refuses = True
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert sum("can't start a process" in line for line in system.log.lines) == 1


def test_a_fork_that_the_template_was_refused_is_tried_again() -> None:
    system = System(1)
    fork = system.until(Stage.FORKING)
    system.says(fork, Refused("Cannot allocate memory"))
    assert system.log.has("can't start a process: Cannot allocate memory")
    assert not system.forks
    assert fork not in system.open
    system.wait(REFUSAL_PAUSE)
    assert len(system.forks) == 1


def test_the_refusals_of_one_moment_are_one_refusal() -> None:
    system = System(8)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    with system.one_step():
        for fork in list(system.forks):
            system.says(fork, Refused("Cannot allocate memory"))
    assert sum("can't start a process" in line for line in system.log.lines) == 1
    system.wait(REFUSAL_PAUSE)
    assert len(system.forks) == 8
    system.settle()
    assert system.log.has("info processes can be started again")


def fails_to_fork(system: System, how: str) -> None:
    """Every fork fails until the pool forks no more."""
    for _ in range(100):
        if system.forks:
            fork = system.forks[0]
            if how == "refused":
                system.says(fork, Refused("Cannot allocate memory"))
            else:
                system.hello(fork)
                system.dies(fork)
        elif not system.at(Stage.TEMPLATE):
            return
        else:
            system.wait(0.1)
    raise AssertionError("it goes on forking")


@pytest.mark.parametrize("how", ["refused", "dies"])
def test_forks_that_fail_are_tried_again_later(how: str) -> None:
    system = running()
    for _ in range(2):
        system.dies(system.worker())
    fails_to_fork(system, how)
    assert system.log.has("warning for 60 s workers are started one by one, not forked: 3 forks in a row")
    stopped = system.now
    system.settle(forkable=False, quiet=1.0)
    assert system.worker().stage is Stage.SERVING
    assert len(system.at(Stage.ARMED)) == 1
    system.wait(stopped + FORK_PAUSE - system.now)
    assert [system.loads[p].role for p in system.at(Stage.LOADING)] == ["template"]
    system.settle()
    system.dies(system.worker())
    system.settle()
    assert system.log.has("info workers are forked again")
    assert len(system.at(Stage.TEMPLATE)) == 1


def test_forks_that_go_on_failing_are_tried_at_growing_pauses_and_one_failure_is_enough() -> None:
    system, pauses = System(1), []
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    for _ in range(6):
        fails_to_fork(system, "dies")
        stopped = system.now
        while not system.at(Stage.TEMPLATE):
            for process in system.at(Stage.LOADING):
                system.says(process, Loaded(system.loads[process].role == "template", "told so"))
            for process in [*system.at(Stage.ARMING), *system.at(Stage.STARTING)]:
                system.advance(process)
            system.wait(0.5)
        pauses.append(system.now - stopped)
        system.dies(system.worker())
        system.ready(system.worker())
    assert [round(pause / FORK_PAUSE) for pause in pauses] == [1, 2, 4, 8, 10, 10]
    assert LONGEST_FORK_PAUSE == 10 * FORK_PAUSE
