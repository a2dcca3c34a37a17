"""Stories of the standby, told event by event on a simulated system."""

from __future__ import annotations

from corepod.contract.messages import Armed
from corepod.supervisor.pool.backoff import STABLE
from corepod.supervisor.pool.generation import ARM_TIMEOUT
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, System, messages, running


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
    assert system.log.has("warning the standby is gone (signal SIGKILL) and another one is started")
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
    assert not system.log.has("the application's lifespan keeps failing in the standby")


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
    assert sum("the application's lifespan keeps failing in the standby" in line for line in system.log.lines) == 1
    assert [p.live for p in system.at(Stage.ARMED)] == [False]
    assert system.worker().stage is Stage.SERVING


def test_without_a_standby_a_crash_is_followed_by_a_fork() -> None:
    system = running(standby="none")
    assert not system.at(Stage.ARMED)
    system.dies(system.worker())
    assert len(system.forks) == 1


def test_as_many_standbys_are_kept_as_are_asked_for() -> None:
    system = running(2, standbys=3)
    first = system.at(Stage.ARMED)
    assert len(first) == 3
    for number in (0, 1, 0):
        system.dies(system.worker(number))
    assert not system.at(Stage.ARMED)
    assert not system.forks, "each crash has found a standby"
    assert {system.worker(0), system.worker(1)} < set(first)
    system.settle()
    assert len(system.at(Stage.ARMED)) == 3


def test_standbys_that_die_together_have_failed_once() -> None:
    system = running(standbys=4)
    with system.one_step():
        for standby in system.at(Stage.ARMED):
            system.dies(standby)
    assert len(system.forks) == 4, "without a pause"


def test_each_live_standby_grows_old_by_itself() -> None:
    system = System(1, standby="live", standbys=2, live_max_age=300.0)
    while len(system.at(Stage.ARMED)) < 2:
        if not system.at(Stage.ARMED) or not system.at(Stage.ARMING):
            system.goes_on()
        else:
            system.wait(100.0)
            system.says(system.at(Stage.ARMING)[0], Armed())
    old, young = sorted(system.at(Stage.ARMED), key=lambda p: p.since)
    system.wait(old.since + 300.0 - system.now)
    assert system.at(Stage.DRAINING) == [old]
    assert young.stage is Stage.ARMED


def test_without_a_standby_their_number_means_nothing() -> None:
    system = running(standby="none", standbys=3)
    assert not system.at(Stage.ARMED)
    assert not system.pool.generations.current.candidates


def test_live_standbys_that_are_old_together_go_together() -> None:
    system = running(standby="live", standbys=4, live_max_age=300.0)
    system.wait(1200.0)
    system.settle(quiet=1.0)
    assert [p.live for p in system.at(Stage.ARMED)] == [True] * 4
