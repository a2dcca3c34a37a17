"""Stories of forks and the standby, told event by event on a simulated system."""

from __future__ import annotations

from corepod.contract.messages import (
    Loaded,
)
from corepod.supervisor.pool.generation import ARM_TIMEOUT, CALM, FORK_TIMEOUT
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, System, messages, running


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


def test_three_forks_in_a_row_that_die_end_forking() -> None:
    system = System(1)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    for _ in range(3):
        while not system.forks:
            system.wait(0.5)
        system.hello(system.forks[0])
        system.dies(system.at(Stage.ARMING)[0])
    system.wait(30.0)
    assert system.log.has("3 forks in a row didn't get ready")
    assert not system.at(Stage.TEMPLATE)
    system.settle(forkable=False)
    assert system.worker().stage is Stage.SERVING


def test_a_fork_that_does_not_get_ready_is_killed() -> None:
    system = System(1)
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    fork = system.forks[0]
    system.hello(fork)
    system.wait(ARM_TIMEOUT)
    assert fork in system.killed
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_a_refusal_is_told_and_tried_again() -> None:
    system = running()
    system.refuses = True
    system.dies(system.worker())
    system.wait(CALM)
    assert system.log.has("can't make a process: Resource temporarily unavailable")
    system.refuses = False
    system.settle()
    assert len(system.at(Stage.ARMED)) == 1


def test_the_oldest_live_standby_goes_and_its_successor_waits_for_its_end() -> None:
    system = running(standby="live", live_max_age=300.0)
    (old,) = system.at(Stage.ARMED)
    assert old.live
    system.wait(299.0)
    assert system.at(Stage.ARMED) == [old]
    system.wait(1.0)
    assert system.at(Stage.DRAINING) == [old]
    assert messages(system, old) == ["Drain(within=5.0, linger=0.0)"]
    assert not system.forks
    system.dies(old, EXITED)
    system.settle()
    assert [p.live for p in system.at(Stage.ARMED)] == [True]


def test_a_lifespan_that_fails_in_the_standby_three_times_is_not_run_there() -> None:
    system = System(1, standby="live")
    for _ in range(200):
        live = [p for p in system.at(Stage.ARMING) if p.live]
        moving = [p for s in (Stage.LOADING, Stage.FORKING, Stage.ARMING, Stage.STARTING) for p in system.at(s)]
        if live:
            system.fails(live[0])
        elif moving:
            system.advance(moving[0])
        else:
            system.wait(1.0)
    assert system.log.has("the application's lifespan fails in the standby")
    assert [p.live for p in system.at(Stage.ARMED)] == [False]
    assert system.worker().stage is Stage.SERVING


def test_without_a_standby_a_crash_is_followed_by_a_fork() -> None:
    system = running(standby="none")
    assert not system.at(Stage.ARMED)
    system.dies(system.worker())
    assert len(system.forks) == 1
