"""Somebody sends TERM or INT to workers themselves: to one of them, or to all processes of a pool."""

from __future__ import annotations

import pytest
from corepod.contract.messages import Signalled
from corepod.supervisor.pool.pool import ALL_SIGNALLED
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import System, running


def signalled(system: System, *numbers: int) -> None:
    for number in numbers:
        system.says(system.worker(number), Signalled())


def nothing_has_died(system: System) -> bool:
    return not system.log.has("died") and not any(slot.restarts for slot in system.pool.slots)


@pytest.mark.parametrize("overlap", [True, False])
def test_one_worker_makes_way_and_nothing_has_died(overlap: bool) -> None:
    system = running(2, overlap=overlap)
    old, other = system.worker(0), system.worker(1)
    signalled(system, 0)
    assert old.stage is Stage.SERVING
    system.settle()
    assert system.worker(0) is not old
    assert system.worker(1) is other
    assert nothing_has_died(system)
    assert system.log.has("info makes way for a new worker: a signal told it to stop")


def test_a_pool_that_is_signalled_after_its_workers_changes_nothing_before_it_stops() -> None:
    system = running(3)
    workers, born = [system.worker(n) for n in range(3)], set(system.alive)
    signalled(system, 2, 0, 1, 0)
    system.wait(ALL_SIGNALLED - 0.1)
    assert [system.worker(n) for n in range(3)] == workers
    system.pool.lame(system.now)
    system.wait(10.0)
    assert all(worker.stage is Stage.SERVING for worker in workers)
    system.pool.drain(10.0, system.now)
    system.settle()
    assert not system.alive.keys() - born, "one that was made in vain"
    assert nothing_has_died(system)


def test_a_worker_that_starts_is_replaced_by_one_that_starts() -> None:
    system = System(1)
    old = system.until(Stage.STARTING)
    signalled(system, 0)
    system.wait(ALL_SIGNALLED)
    assert old.stage is Stage.DRAINING
    system.settle()
    assert system.worker() is not old
    assert nothing_has_died(system)


def test_a_reload_replaces_it_anyway() -> None:
    system = running(1)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    signalled(system, 0)
    system.settle()
    assert system.worker() is not old
    assert not system.log.has("a signal told it to stop")


def test_a_reload_that_fails_leaves_it_to_the_signal() -> None:
    system = running(1)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    signalled(system, 0)
    system.wait(2 * ALL_SIGNALLED)
    assert system.worker() is old
    system.fails(system.until(Stage.LOADING), "missing")
    system.settle()
    assert system.log.has("reload aborted")
    assert system.worker() is not old
    assert nothing_has_died(system)
