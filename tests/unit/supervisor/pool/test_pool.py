"""Stories of a pool, told event by event on a simulated system: boot, crash, budget, reload, stop."""

from __future__ import annotations

from typing import Any

import pytest
from corepod.contract.exits import EXIT_APP, EXIT_BOOT, EXIT_BUDGET, EXIT_OK
from corepod.contract.messages import (
    Activate,
    Armed,
    Drain,
    Failed,
    Hello,
    Lame,
    Loaded,
    Readiness,
    Ready,
    Refused,
    Unforkable,
    Unpinned,
)
from corepod.supervisor.pool.exits import Exit
from corepod.supervisor.pool.generation import ARM_TIMEOUT, CALM, FORK_TIMEOUT
from corepod.supervisor.pool.pool import ORPHANED_CONTROL
from corepod.supervisor.pool.reload import AFRESH
from corepod.supervisor.pool.state import Process, Stage

from tests.unit.supervisor.pool.system import EXITED, SIGKILL, System


def running(cores: int = 1, **settings: Any) -> System:
    """A pool whose workers serve and whose standby stands by."""
    system = System(cores, **settings)
    system.settle()
    return system


def messages(system: System, process: Process) -> list[str]:
    return [repr(message) for told, message in system.told if told is process]


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
    assert (system.worker(0).stage, system.worker(1).stage) == (Stage.SERVING, Stage.STARTING)
    system.wait(CALM)
    (spare,) = system.at(Stage.FORKING)
    system.hello(spare)
    system.says(spare, Armed())
    assert system.pool.generations.current.standby is spare


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


def test_a_lifespan_that_fails_is_tried_three_times() -> None:
    system = System(1)
    for _ in range(3):
        assert system.pool.exit_code is None
        while not system.at(Stage.STARTING):
            moving = [*system.at(Stage.LOADING), *system.at(Stage.FORKING), *system.at(Stage.ARMING)]
            if moving:
                system.advance(moving[0])
            else:
                system.wait(0.25)
        system.fails(system.worker())
    assert system.pool.exit_code == EXIT_BOOT
    assert system.slot().restarts == 0, "nothing has died"


# Crash


def test_the_standby_takes_over_at_once() -> None:
    system = running()
    old, standby = system.worker(), system.pool.generations.current.standby
    assert standby is not None
    system.dies(old)
    assert system.worker() is standby
    assert standby.stage is Stage.STARTING
    assert messages(system, standby) == ["Activate(slot=0, worker=2, core=0, restarts=1, record=63, slots=1)"]
    assert not system.forks, "the core belongs to the next worker for a moment"
    system.wait(CALM)
    assert len(system.forks) == 1
    assert (system.slot().restarts, system.slot().reasons) == (1, {"signal SIGKILL": 1})
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
    assert system.slot(0).failed == "3 deaths in 60 s, allowed are 2"
    assert system.pool.exit_code == EXIT_BUDGET
    assert system.log.has("every slot is given up: the pool ends")


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
    assert system.log.has("the standby ended before it took its place: signal SIGKILL")
    system.settle()
    assert system.worker().stage is Stage.SERVING


def test_who_loses_its_control_socket_is_killed_for_it() -> None:
    system = running()
    worker = system.worker()
    system.loses(worker)
    system.wait(ORPHANED_CONTROL - 0.1)
    assert worker not in system.killed
    system.wait(0.1)
    assert worker in system.killed
    assert system.slot().reasons == {"control closed": 1}


# Forks and the standby


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


# Reload


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


# What a process may say


@pytest.mark.parametrize(
    "message",
    [Armed(), Ready(), Loaded(True, ""), Loaded(False, "x"), Unforkable("x"), Refused("x"), Hello(1), Hello(4711)],
)
@pytest.mark.parametrize("stage", [Stage.SERVING, Stage.ARMED, Stage.DRAINING])
def test_a_message_that_a_process_has_no_reason_to_send_changes_nothing(message: Any, stage: Stage) -> None:
    system = running()
    if stage is Stage.DRAINING:
        system.pool.drain(10.0, system.now)
    (process, *_) = system.at(stage)
    before = (process.stage, process.pid, set(system.pool.processes.living), len(system.killed))
    system.says(process, message)
    assert (process.stage, process.pid, set(system.pool.processes.living), len(system.killed)) == before


def test_the_application_may_say_that_it_is_not_ready_and_why_it_cannot_be_pinned() -> None:
    system = running()
    system.says(system.worker(), Readiness(False, "warming"))
    assert (system.worker().willing, system.worker().unwilling_why) == (False, "warming")
    for _ in range(2):
        system.says(system.worker(), Unpinned("EINVAL"))
    assert system.slot().unpinned == "EINVAL"
    assert sum("is not pinned: EINVAL" in line for line in system.log.lines) == 1


# Stop


def test_a_stop_in_order() -> None:
    system = running()
    worker = system.worker()
    system.pool.lame()
    assert system.was_told(worker, Lame)
    system.dies(worker)
    system.settle()
    replacement = system.worker()
    assert replacement.stage is Stage.SERVING, "as long as it serves, a crash is followed by a restart"
    assert system.was_told(replacement, Lame)
    system.pool.drain(10.0, system.now)
    system.tick()
    assert messages(system, replacement)[-1] == "Drain(within=10.0, linger=0.0)"
    system.reap()
    assert list(system.alive.values()) == [replacement], "everything else had nothing to finish"
    system.wait(9.9)
    assert replacement not in system.killed
    system.wait(0.1)
    assert not system.alive
    assert system.pool.exit_code is None


def test_a_reload_while_the_pool_stops_is_left_out() -> None:
    system = running()
    system.pool.lame()
    system.pool.request_reload()
    system.wait(10.0)
    assert [g.number for g in system.pool.generations.all] == [1]
    assert system.log.has("the pool stops; this reload is left out")


def test_a_stop_at_once_while_everything_is_under_way() -> None:
    system = running(2)
    system.pool.request_reload()
    system.tick()
    system.dies(system.worker(1))
    system.pool.stop_now(EXIT_OK, system.now)
    system.tick()
    system.reap()
    assert not system.alive
    assert not system.forks
    assert system.pool.exit_code == EXIT_OK


def test_the_first_exit_code_counts() -> None:
    system = running()
    system.pool.stop_now(EXIT_BUDGET, system.now)
    system.pool.stop_now(EXIT_OK, system.now)
    assert system.pool.exit_code == EXIT_BUDGET


def test_a_pool_that_gives_up_while_it_stops_has_stopped() -> None:
    system = running(crash_budget=(1, 60.0))
    system.dies(system.worker())
    system.settle()
    system.pool.lame()
    system.dies(system.worker())
    assert system.pool.exit_code == EXIT_OK


def test_stacks_are_asked_of_every_worker() -> None:
    system = running(2)
    system.pool.dump_stacks()
    assert system.dumped == [system.worker(0), system.worker(1)]


def test_a_failed_boot_that_is_read_with_the_death() -> None:
    system = System(1)
    (loader,) = system.at(Stage.LOADING)
    system.says(loader, Failed("exception", "the application raised ValueError", "Traceback: x"))
    system.dies(loader, SIGKILL)
    assert system.log.has("the application raised ValueError\nTraceback: x")


def test_a_drained_worker_is_told_once() -> None:
    system = running()
    worker = system.worker()
    for _ in range(2):
        system.pool.drain(10.0, system.now)
    assert sum(isinstance(m, Drain) for p, m in system.told if p is worker) == 1
