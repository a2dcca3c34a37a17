"""Stories of a stop, told event by event on a simulated system."""

from __future__ import annotations

import pytest
from corepod.contract.exits import EXIT_BUDGET, EXIT_OK
from corepod.contract.messages import (
    Drain,
    Lame,
)
from corepod.contract.scoreboard import OWED
from corepod.supervisor.pool.generation import DISMISS_TIMEOUT
from corepod.supervisor.pool.reload import AFRESH
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, messages, running


def test_a_stop_in_order() -> None:
    system = running()
    worker = system.worker()
    system.pool.lame(system.now)
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
    assert not system.log.has("is gone"), "that is no surprise"
    system.wait(9.9)
    assert replacement not in system.killed
    system.wait(0.1)
    assert not system.alive
    assert system.log.has("warning ended while it stopped: it didn't stop in time (signal SIGKILL)")
    assert system.pool.exit_code is None


def test_a_worker_that_stops_in_time() -> None:
    system = running()
    system.records.rows[system.worker().record][OWED] = 0
    system.pool.drain(10.0, system.now)
    system.reap()
    system.dies(system.at(Stage.DRAINING)[0], EXITED)
    assert system.log.lines[-1] == "info stopped"


def test_a_live_standby_ends_its_lifespan_within_the_time_that_is_left() -> None:
    for left, within in ((2.0, 2.0), (20.0, DISMISS_TIMEOUT)):
        system = running(standby="live")
        (standby,) = system.at(Stage.ARMED)
        system.pool.drain(left, system.now)
        assert messages(system, standby) == [f"Drain(within={within}, linger=0.0)"]
        system.wait(within)
        assert standby in system.killed


def test_a_live_standby_that_has_been_told_to_go_is_not_told_again() -> None:
    system = running(standby="live", live_max_age=300.0)
    (standby,) = system.at(Stage.ARMED)
    system.wait(300.0)
    assert standby.stage is Stage.DRAINING
    system.pool.drain(20.0, system.now)
    assert messages(system, standby) == [f"Drain(within={DISMISS_TIMEOUT}, linger=0.0)"]


def test_both_workers_of_a_slot_that_changes_over_drain() -> None:
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    new = system.until(Stage.STARTING)
    system.pool.drain(10.0, system.now)
    for process in (old, new):
        assert messages(system, process)[-1] == "Drain(within=10.0, linger=0.0)"
    assert not system.at(Stage.LOADING)


def test_a_pool_that_is_about_to_stop_changes_no_more_slots_over() -> None:
    system = running(2)
    old = system.worker(1)
    system.pool.request_reload()
    system.tick()
    first = system.until(Stage.STARTING)
    system.pool.lame(system.now)
    system.ready(first)
    system.wait(10.0)
    assert (system.worker(1), system.slot(1).waits_for) == (old, 0)


def test_a_slot_that_waits_gets_no_worker_any_more() -> None:
    system = running(crash_budget=(0, 0.0))
    for _ in range(3):
        system.settle()
        system.dies(system.worker())
    assert system.slot().retry_at is not None
    system.pool.drain(10.0, system.now)
    assert (system.slot().retry_at, system.slot().waits_for) == (None, 0)
    system.wait(60.0)
    assert not system.alive


def test_a_worker_that_crashes_while_everything_is_killed_is_not_judged() -> None:
    system = running(crash_budget=(1, 60.0))
    system.dies(system.worker())
    system.settle()
    system.pool.stop_now(EXIT_OK, system.now)
    system.reap()
    assert "error died: the pool was stopped at once (signal SIGKILL)" in system.log.lines[-1]
    assert (system.slot().restarts, system.slot().failed) == (1, "")


def test_a_reload_while_the_pool_stops_is_left_out() -> None:
    system = running()
    system.pool.lame(system.now)
    system.pool.request_reload()
    system.wait(10.0)
    assert [g.number for g in system.pool.generations.all] == [1]
    assert system.log.has("the reload is ignored: the pool is stopping")


@pytest.mark.parametrize("how", ["lame", "drain", "stop at once"])
def test_a_reload_that_has_not_begun_when_the_pool_stops_is_not_due_any_more(how: str) -> None:
    system = running()
    for _ in range(2):
        system.pool.request_reload()
        system.tick()
    assert system.pool.deadline() == system.now + AFRESH
    if how == "lame":
        system.pool.lame(system.now)
    elif how == "drain":
        system.pool.drain(10.0, system.now)
    else:
        system.pool.stop_now(EXIT_OK, system.now)
    system.wait(AFRESH)
    due = system.pool.deadline()
    assert due is None or due > system.now, "the supervisor would spin until the stop has ended"
    assert [g.number for g in system.pool.generations.all] == [1, 2]


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
    assert not system.log.has("took its place")
    assert not system.log.has("ended before")
    assert "error " not in system.log.lines
    assert (system.pool.stopping, system.pool.deadline()) == (True, None)


def test_the_first_exit_code_counts() -> None:
    system = running()
    system.pool.stop_now(EXIT_BUDGET, system.now)
    system.pool.stop_now(EXIT_OK, system.now)
    assert system.pool.exit_code == EXIT_BUDGET


def test_a_pool_that_gives_up_while_it_stops_has_stopped() -> None:
    system = running(crash_budget=(1, 60.0))
    system.dies(system.worker())
    system.settle()
    system.pool.lame(system.now)
    system.dies(system.worker())
    assert system.pool.exit_code == EXIT_OK
    assert system.log.has("error every slot is given up: the pool exits")


def test_a_drained_worker_is_told_once() -> None:
    system = running()
    worker = system.worker()
    for _ in range(2):
        system.pool.drain(10.0, system.now)
    assert sum(isinstance(m, Drain) for p, m in system.told if p is worker) == 1
