"""Stories of forks and the standby, told event by event on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.exits import EXIT_BOOT
from corepod.contract.messages import Armed, Loaded, Refused, Unforkable
from corepod.supervisor.pool.backoff import REFUSAL_PAUSE, STABLE
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
    assert system.log.has("workers are started one by one from now on, not forked: 2 threads")
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
    assert sum("template is gone (signal SIGKILL) and is made again" in line for line in system.log.lines) == 4


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
    system.now += FORK_TIMEOUT / 2
    system.pool.add_slot(None)
    system.tick()
    assert len(system.forks) == 2
    for _ in range(2):
        system.now += FORK_TIMEOUT / 2
        system.tick()
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
    system.now += FORK_TIMEOUT / 2
    for _ in range(4):
        system.pool.add_slot(None)
    system.wait(FORK_TIMEOUT / 2)
    assert not system.at(Stage.TEMPLATE)
    assert len(system.at(Stage.LOADING)) == 1, "without a pause"


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
    system.settle(forkable=False)
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
    refusals = ["error can't make a process: Resource temporarily unavailable; trying again"]
    assert [line.partition(" (")[0] for line in system.log.lines if "make" in line] == refusals
    system.wait(REFUSAL_PAUSE - 0.01)
    assert len([line for line in system.log.lines if "make" in line]) == 1
    system.wait(0.01)
    assert len([line for line in system.log.lines if "make" in line]) == 2
    system.refuses = False
    system.settle()
    assert len(system.at(Stage.ARMED)) == 1


def test_a_refusal_without_a_number_is_told_in_its_own_words() -> None:
    system = System(1)
    system.refuses, system.refusal = True, OSError("no room for descriptors")
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert system.log.has("can't make a process: no room for descriptors")


def test_where_one_process_is_refused_the_others_are_not_asked_for() -> None:
    system = System(3)
    system.refuses = True
    system.says(system.at(Stage.LOADING)[0], Loaded(True, ""))
    assert sum("can't make a process" in line for line in system.log.lines) == 1


def test_a_fork_that_the_template_was_refused_is_tried_again() -> None:
    system = System(1)
    fork = system.until(Stage.FORKING)
    system.says(fork, Refused("Cannot allocate memory"))
    assert system.log.has("can't make a process: Cannot allocate memory")
    assert not system.forks
    assert fork not in system.open
    system.wait(REFUSAL_PAUSE)
    assert len(system.forks) == 1


def test_a_standby_that_keeps_dying_is_made_at_growing_pauses() -> None:
    system, pauses = running(), []
    for _ in range(4):
        system.dies(system.at(Stage.ARMED)[0])
        died = system.now
        while not system.forks:
            system.wait(0.125)
        pauses.append(system.now - died)
        system.settle()
    assert pauses == [0.0, 0.375, 0.75, 1.5]
    assert system.log.has("warning the standby is gone (signal SIGKILL) and is made again")
    assert not system.log.has("ended before it was ready")
    system.wait(STABLE + 1.0)
    system.dies(system.at(Stage.ARMED)[0])
    assert len(system.forks) == 1, "it had lived long"


def test_a_worker_that_is_missing_does_not_wait_for_a_standby_that_keeps_dying() -> None:
    system = running()
    for _ in range(3):
        system.dies(system.until(Stage.ARMED))
    system.dies(system.worker())
    assert len(system.forks) == 1


def test_a_fork_for_a_slot_that_has_gone_is_the_standby_or_goes_too() -> None:
    for standby, kept in (("armed", 1), ("none", 0)):
        system = running(2, standby=standby)
        for number in (0, 1):
            system.dies(system.worker(number))
        system.pool.remove_slot(system.now)
        system.settle()
        assert len(system.at(Stage.ARMED)) == kept
        assert len(system.pool.workers) == 1


def test_the_standby_stays_while_no_record_is_free() -> None:
    system = running(records=1)
    (standby,) = system.at(Stage.ARMED)
    system.pool.add_slot(None)
    system.wait(1.0)
    assert standby.stage is Stage.ARMED
    assert standby not in system.killed
    system.pool.remove_slot(system.now)
    system.settle()
    assert system.at(Stage.ARMED) == [standby]


def test_a_standby_that_is_not_live_grows_old_and_so_does_a_live_one_without_a_limit() -> None:
    for standby, age in (("armed", 300.0), ("live", 0.0)):
        system = running(standby=standby, live_max_age=age)
        before = system.at(Stage.ARMED)
        system.wait(10000.0)
        assert system.at(Stage.ARMED) == before


def test_a_live_standby_takes_the_place_of_one_that_was_made_in_haste() -> None:
    system = running(2, standby="live")
    for number in (0, 1):
        system.dies(system.worker(number))
    (hasty,) = system.forks
    assert not hasty.live
    system.pool.remove_slot(system.now)
    system.settle()
    assert [p.live for p in system.at(Stage.ARMED)] == [True]


def test_one_that_is_ready_stays_rather_than_one_that_is_not() -> None:
    system = running(2, standby="armed")
    system.dies(system.worker(0))
    system.dies(system.worker(1))
    system.pool.add_slot(None)
    system.tick()
    first, second = system.forks
    system.hello(second)
    system.pool.remove_slot(system.now)
    system.pool.remove_slot(system.now)
    system.says(second, Armed())
    assert system.at(Stage.ARMED) == [second]
    system.hello(first)
    system.says(first, Armed())
    system.reap()
    assert len(system.at(Stage.ARMED)) == 1


def test_standbys_that_are_told_to_go_are_no_failures() -> None:
    system = running(6)
    for number in range(6):
        system.dies(system.worker(number))
    for _ in range(5):
        system.pool.remove_slot(system.now)
    for fork in list(system.forks):
        system.hello(fork)
        system.says(fork, Armed())
    system.wait(60.0)
    assert len(system.at(Stage.ARMED)) == 1
    assert len(system.at(Stage.TEMPLATE)) == 1


def test_only_a_standby_that_has_time_for_it_is_live() -> None:
    system = System(1, standby="live")
    assert not system.until(Stage.FORKING).live, "a slot waits for it"
    system.settle()
    assert [p.live for p in system.at(Stage.ARMED)] == [True]


def test_a_lifespan_in_the_standby_may_take_its_time() -> None:
    system = System(1, standby="live")
    system.until(Stage.SERVING)
    standby = system.until(Stage.ARMING)
    assert standby.live
    system.wait(10 * ARM_TIMEOUT)
    assert standby not in system.killed


def test_a_live_standby_that_is_killed_says_nothing_about_the_lifespan() -> None:
    system = System(1, standby="live")
    system.until(Stage.SERVING)
    for _ in range(4):
        system.dies(system.until(Stage.ARMING))
    system.settle()
    assert [p.live for p in system.at(Stage.ARMED)] == [True]


def test_lifespans_that_fail_in_the_standby_are_forgotten_when_one_takes_its_slot() -> None:
    system = System(1, standby="live")
    for _ in range(2):
        system.until(Stage.SERVING)
        for _ in range(2):
            system.fails(system.until(Stage.ARMING))
        system.settle()
        system.dies(system.worker())
        system.ready(system.worker())
    assert not system.log.has("the application's lifespan fails in the standby")


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
    assert not system.log.has("standby"), "it was told to go"
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
    assert sum("the application's lifespan fails in the standby" in line for line in system.log.lines) == 1
    assert [p.live for p in system.at(Stage.ARMED)] == [False]
    assert system.worker().stage is Stage.SERVING


def test_without_a_standby_a_crash_is_followed_by_a_fork() -> None:
    system = running(standby="none")
    assert not system.at(Stage.ARMED)
    system.dies(system.worker())
    assert len(system.forks) == 1
