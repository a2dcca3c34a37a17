"""A slot's worker is replaced by a new one of the same code, because somebody asks for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from corepod.supervisor.pool.backoff import BOOT_TRIES
from corepod.supervisor.pool.pool import REPLACE_TIMEOUT
from corepod.supervisor.pool.state import ASKED, EXITS_KEPT, Stage

from tests.unit.supervisor.pool.system import System, running

if TYPE_CHECKING:
    from corepod.supervisor.pool.state import Process


def restart(system: System, number: int = 0) -> str:
    why = system.pool.restart(system.slot(number), "it was asked for", system.now)
    system.settle()
    return why


def test_the_new_worker_takes_over_and_nothing_has_died() -> None:
    system = running(2)
    old, other = system.worker(0), system.worker(1)
    assert restart(system) == ""
    assert system.worker(0) is not old
    assert system.worker(1) is other
    assert old.stage is Stage.DRAINING
    assert (system.slot(0).restarts, system.slot(0).reasons) == (0, {})


def test_without_overlap_the_old_one_goes_first() -> None:
    system = running(1, overlap=False)
    old = system.worker(0)
    system.pool.restart(system.slot(0), "it was asked for", system.now)
    assert old.stage is Stage.DRAINING
    assert system.slot(0).worker is None


def test_one_at_a_time_in_a_slot() -> None:
    system = running(1)
    system.pool.restart(system.slot(0), "it was asked for", system.now)
    assert "already" in system.pool.restart(system.slot(0), "again", system.now)


def test_not_in_a_reload_and_not_in_a_stop() -> None:
    system = running(1)
    system.pool.request_reload()
    system.tick()
    assert "reload" in system.pool.restart(system.slot(0), "it was asked for", system.now)
    system.settle()
    system.pool.lame(system.now)
    assert "stopping" in system.pool.restart(system.slot(0), "it was asked for", system.now)


def test_a_slot_that_was_given_up_gets_a_worker() -> None:
    system = running(2, crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker(0))
        system.settle()
    assert system.slot(0).failed
    assert restart(system) == ""
    assert system.worker(0).stage is Stage.SERVING


def begun(system: System, number: int = 0) -> None:
    """The worker is to be replaced, and nothing has happened since."""
    assert system.pool.restart(system.slot(number), "it was asked for", system.now) == ""
    assert system.slot(number).replacing == ASKED


def keeps(system: System, worker: Process, number: int = 0) -> None:
    """The present worker stays, the slot waits for nothing, and another attempt is possible."""
    slot = system.slot(number)
    assert slot.worker is worker
    assert worker.stage is Stage.SERVING
    assert (slot.waits_for, slot.incoming, slot.replacing, slot.replace_by) == (0, None, "", None)
    assert slot.replaced == {}


def test_it_is_counted_by_its_reason() -> None:
    system = running(2)
    restart(system)
    assert system.pool.recycle(system.slot(0), "age", "it is old", system.now) == ""
    system.settle()
    assert system.slot(0).replaced == {ASKED: 1, "age": 1}
    assert system.slot(1).replaced == {}


def test_the_new_one_dies_before_it_is_ready() -> None:
    system = running(1)
    old = system.worker()
    begun(system)
    incoming = system.until(Stage.STARTING)
    assert system.slot().incoming is incoming
    system.fails(incoming)
    keeps(system, old)
    assert system.log.has("error slot 0 keeps its worker: the new one didn't become ready")
    assert system.slot().restarts == 0
    assert restart(system) == ""
    assert system.worker() is not old


def test_the_standby_dies_before_it_can_take_its_place() -> None:
    """Nothing of the application has run in it: another one comes in its place."""
    system = running(1)
    old = system.worker()
    begun(system)
    system.dies(system.until(Stage.STARTING))
    assert system.slot().replacing == ASKED
    assert system.slot().waits_for
    system.settle()
    assert system.worker() is not old
    assert system.slot().replaced == {ASKED: 1}


def test_the_old_one_dies_while_the_new_one_starts() -> None:
    system = running(1)
    old = system.worker()
    begun(system)
    incoming = system.until(Stage.STARTING)
    system.dies(old)
    assert system.worker() is incoming
    assert (system.slot().replacing, system.slot().restarts) == ("", 1)
    system.settle()
    assert system.worker() is incoming
    assert system.slot().replaced == {}, "a death, and no replacement"


def test_the_old_one_dies_while_none_is_there_yet() -> None:
    system = running(1, standby="none")
    begun(system)
    system.dies(system.worker())
    assert (system.slot().replacing, system.slot().restarts) == ("", 1)
    system.settle()
    assert system.worker().stage is Stage.SERVING


@pytest.mark.parametrize("preload", ["libraries", "nothing"])
def test_code_that_cannot_be_imported_leaves_the_present_worker(preload: str) -> None:
    system = running(1, standby="none", preload=preload)
    old, stage = system.worker(), Stage.IMPORTING if preload == "libraries" else Stage.LOADING
    begun(system)
    for _ in range(BOOT_TRIES):
        system.fails(system.until(stage))
    keeps(system, old)
    assert system.log.has("error slot 0 keeps its worker: the application can't be loaded")
    assert system.pool.exit_code is None
    assert restart(system) == ""
    assert system.worker() is not old


def test_nobody_waits_for_ever() -> None:
    """Here the template can't fork, and later the application's lifespan hangs."""
    system = running(1, standby="none")
    old = system.worker()
    system.refuses = True
    begun(system)
    system.wait(REPLACE_TIMEOUT + 1.0)
    keeps(system, old)
    assert system.log.has(f"keeps its worker: no new one was ready within {REPLACE_TIMEOUT:g} s")
    system.refuses = False
    system.settle()
    begun(system)
    hung = system.until(Stage.STARTING)
    system.runs(hung)
    system.wait(REPLACE_TIMEOUT + 1.0)
    keeps(system, old)
    assert hung.stage is Stage.DRAINING


def test_without_a_free_record_it_waits_for_one() -> None:
    system = running(1, records=1)
    old = system.worker()
    begun(system)
    system.settle(quiet=10.0)
    assert system.worker() is old
    assert system.slot().waits_for
    system.wait(REPLACE_TIMEOUT)
    keeps(system, old)


def test_a_slot_that_nobody_serves_comes_first() -> None:
    system = running(2, standby="none")
    begun(system, 0)
    system.dies(system.worker(1))
    first = system.until(Stage.STARTING)
    assert first.slot is system.slot(1)
    system.settle()
    assert [slot.replacing for slot in system.pool.slots] == ["", ""]


def test_a_reload_takes_over() -> None:
    """It replaces the worker with the new code; it doesn't wait for one of the old code, which may hang."""
    for stage in (Stage.FORKING, Stage.STARTING):
        system = running(2, standby="none")
        begun(system)
        system.until(stage)
        system.pool.request_reload()
        system.tick()
        assert (system.slot().replacing, system.slot().incoming, system.slot().waits_for) == ("", None, 0)
        system.settle()
        assert {system.worker(n).generation for n in (0, 1)} == {2}
        assert system.slot().replaced == {}


def test_scaled_down_in_the_middle() -> None:
    system = running(2)
    begun(system, 1)
    incoming, old = system.until(Stage.STARTING), system.worker(1)
    system.pool.remove_slot(system.now)
    system.tick()
    assert (incoming.stage, old.stage) == (Stage.DRAINING, Stage.DRAINING)
    system.settle()
    assert len(system.pool.workers) == 1


def test_stopped_in_the_middle() -> None:
    system = running(1)
    begun(system)
    system.until(Stage.STARTING)
    system.pool.lame(system.now)
    system.pool.drain(5.0, system.now)
    system.tick()
    assert system.slot().replace_by is None
    system.settle()
    assert not system.alive


def test_a_live_standby_takes_over() -> None:
    system = running(1, standby="live")
    (standby,) = system.pool.generations.current.standbys
    assert restart(system) == ""
    assert system.worker() is standby


# Recycling


def test_one_slot_after_the_other() -> None:
    system = running(2)
    recycle = system.pool.recycle
    assert recycle(system.slot(0), "age", "it is old", system.now) == ""
    system.tick()
    while system.slot(0).changing:
        assert "slot 0 is getting a new worker" in recycle(system.slot(1), "age", "it is old", system.now)
        system.goes_on()
    assert system.slot(0).retiring, "the old one may drain meanwhile"
    assert recycle(system.slot(1), "age", "it is old", system.now) == "no standby is ready"
    system.until(Stage.ARMED)
    assert recycle(system.slot(1), "age", "it is old", system.now) == ""


def test_without_a_standby_it_does_not_wait_for_one() -> None:
    system = running(1, standby="none")
    assert system.pool.recycle(system.slot(), "age", "it is old", system.now) == ""


def test_without_overlap_the_next_one_waits_for_the_new_worker() -> None:
    system = running(2, overlap=False)
    recycle = system.pool.recycle
    assert recycle(system.slot(0), "age", "it is old", system.now) == ""
    system.tick()
    while system.slot(0).worker is None or system.slot(0).changing:
        assert recycle(system.slot(1), "age", "it is old", system.now)
        assert system.worker(1).stage is Stage.SERVING
        system.goes_on()
        if system.slot(0).retiring:
            system.advance(system.slot(0).retiring[0])
    system.until(Stage.ARMED)
    assert recycle(system.slot(1), "age", "it is old", system.now) == ""


def test_not_while_the_pool_is_busy_otherwise() -> None:
    system = running(2)
    system.pool.request_reload()
    system.tick()
    assert "reload" in system.pool.recycle(system.slot(0), "age", "it is old", system.now)
    system.settle()
    system.pool.lame(system.now)
    assert "stopping" in system.pool.recycle(system.slot(0), "age", "it is old", system.now)


def test_failures_are_said_once_until_one_succeeds() -> None:
    system = running(1)
    for failures in (1, 2, 3):
        assert system.pool.recycle(system.slot(), "age", "it is old", system.now) == ""
        system.fails(system.until(Stage.STARTING))
        system.settle()
        assert system.slot().replace_failures == failures
    assert sum("makes way" in line for line in system.log.lines) == 1
    assert sum("keeps its worker" in line for line in system.log.lines) == 1
    assert system.pool.recycle(system.slot(), "age", "it is old", system.now) == ""
    system.settle()
    assert (system.slot().replace_failures, system.slot().replaced) == (0, {"age": 1})


def test_each_end_is_remembered_and_the_latest_are_kept() -> None:
    system = running(1)
    system.dies(system.worker(0))
    system.settle()
    for _ in range(EXITS_KEPT):
        assert restart(system) == ""
        system.wait(60.0)
    exits = list(system.slot(0).exits)
    assert len(exits) <= EXITS_KEPT
    assert [end["worker"] for end in exits] == sorted(end["worker"] for end in exits)
    assert exits[-1]["asked"]
