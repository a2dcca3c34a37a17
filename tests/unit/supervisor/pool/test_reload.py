"""Stories of a reload, told event by event on a simulated system."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from corepod.contract.messages import Armed, Loaded
from corepod.supervisor.pool.generations import IMPORTS_A_CORE
from corepod.supervisor.pool.reload import AFRESH, Done, Reload
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, System, messages, running


def test_a_reload_overlaps_and_goes_slot_by_slot() -> None:
    system = running(2)
    old = [system.worker(0), system.worker(1)]
    system.pool.request_reload()
    system.tick()
    assert system.log.lines[-1] == "info reload: loading the new code"
    system.now += 3.0
    first = system.until(Stage.STARTING)
    assert system.slot(0).worker is old[0], "it serves until its successor does"
    assert (system.slot(0).incoming, system.slot(1).incoming) == (first, None), "one at a time"
    assert [g.number for g in system.pool.generations.all] == [1, 2], "the old code stays for crashes"
    system.ready(first)
    assert system.pool.generations.current.number == 2, "it has proved itself"
    assert [g.number for g in system.pool.generations.all] == [2]
    assert system.slot(0).retiring == [old[0]]
    assert messages(system, old[0])[-1] == "Drain(within=30.0, linger=6.0)"
    second = system.until(Stage.STARTING)
    assert system.slot(1).incoming is second
    system.ready(second)
    assert not system.pool.generations.reloading
    assert [line for line in system.log.lines if "reload" in line][1:] == ["info reload: done in 3.0 s"]
    for process in old:
        system.dies(process, EXITED)
    system.settle()
    assert [system.worker(n).generation for n in (0, 1)] == [2, 2]
    assert [system.slot(n).restarts for n in (0, 1)] == [0, 0], "nothing has died"


def test_a_replaced_worker_that_does_not_stop_in_time_is_killed_and_that_is_no_crash() -> None:
    system = running()
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    system.wait(30.0)
    assert system.log.has("warning ended while it stopped: it didn't stop in time (signal SIGKILL)")
    assert (system.slot().restarts, system.slot().last_exit) == (0, None)
    assert system.slot().lost == 1, "what was in flight is lost all the same"


def test_without_overlap_slots_change_over_one_after_the_other() -> None:
    system = running(2, overlap=False)
    old = [system.worker(0), system.worker(1)]
    system.pool.request_reload()
    system.tick()
    for number in (0, 1):
        while old[number].stage is Stage.SERVING:
            system.goes_on()
        system.wait(10.0)
        assert [p.stage is Stage.SERVING for p in old] == [False, number == 0]
        system.dies(old[number], EXITED)
        assert old[1].stage is not Stage.DRAINING or number == 1
        first = system.until(Stage.STARTING)
        assert system.slot(number).worker is first
        system.wait(10.0)
        assert [p.stage is Stage.SERVING for p in old] == [False, number == 0], "until the first one serves"
        system.ready(first)
    assert not system.pool.generations.reloading


def test_a_crash_while_the_new_code_loads_is_the_old_codes() -> None:
    system = running(standby="none")
    system.pool.request_reload()
    system.tick()
    system.dies(system.worker())
    (fork,) = system.forks
    assert fork.generation == 1
    system.hello(fork)
    system.says(fork, Armed())
    system.ready(fork)
    assert [g.number for g in system.pool.generations.all] == [1, 2], "that proves nothing about the new code"
    assert system.pool.generations.current.number == 1
    system.settle()
    assert system.worker().generation == 2


def test_new_code_is_tried_at_once_in_a_slot_that_waits_for_long() -> None:
    system = running(crash_budget=(0, 0.0))
    for _ in range(8):
        system.settle()
        system.dies(system.worker())
    assert (system.slot().retry_at or 0.0) > system.now + 10.0
    system.pool.request_reload()
    system.tick()
    new = system.until(Stage.STARTING)
    assert (system.slot().worker, new.generation) == (new, 2)
    assert system.slot().retry_at is None
    system.ready(new)
    system.dies(new)
    assert system.slot().retry_at is None, "its streak is the old code's"


def test_a_slot_that_is_down_gets_the_new_code_first() -> None:
    system = running(2, crash_budget=(0, 0.0), overlap=False)
    for _ in range(8):
        system.settle()
        system.dies(system.worker(1))
    serving = system.worker(0)
    system.pool.request_reload()
    system.tick()
    new = system.until(Stage.STARTING)
    assert system.slot(1).worker is new
    assert system.at(Stage.SERVING) == [serving]
    system.ready(new)
    assert serving in system.at(Stage.DRAINING)


def test_a_slot_whose_old_worker_never_gets_ready_gets_the_new_code() -> None:
    system = running()
    system.dies(system.worker())
    hangs = system.worker()
    system.runs(hangs)
    system.pool.request_reload()
    system.tick()
    while (new := system.slot().incoming) is None:
        system.goes_on(but=hangs)
    system.ready(new)
    assert system.worker().generation == 2
    assert hangs.stage is Stage.DRAINING


def test_a_slot_that_goes_down_while_another_changes_over_is_the_old_codes() -> None:
    system = running(2, standby="none")
    system.pool.request_reload()
    system.tick()
    while system.slot(0).waits_for != 2:
        system.advance(system.until(Stage.LOADING))
    system.dies(system.worker(1))
    assert system.slot(1).waits_for == 1


@pytest.mark.parametrize("proven", [False, True])
def test_whoever_waits_first_gets_the_next_worker_whatever_becomes_of_a_reload(proven: bool) -> None:
    system = running(3, standby="none")
    system.pool.request_reload()
    system.tick()
    if proven:
        new = system.until(Stage.STARTING)
    for number in (2, 1):
        system.now += 1.0
        system.dies(system.worker(number))
    system.now += 1.0
    if proven:
        system.ready(new)
    else:
        system.fails(system.at(Stage.LOADING)[0])
        assert system.log.has("reload aborted")
    fork = system.until(Stage.ARMING)
    system.says(fork, Armed())
    assert fork.generation == (2 if proven else 1)
    assert system.slot(2).worker is fork


def test_a_slot_beyond_its_budget_whose_next_worker_is_there_is_not_given_up() -> None:
    system = running(crash_budget=(1, 60.0))
    system.pool.request_reload()
    system.tick()
    new, old = system.until(Stage.STARTING), system.worker()
    for _ in range(2):
        system.slot().deaths.append(system.now)
    system.dies(old)
    assert system.pool.exit_code is None
    assert (system.slot().worker, system.slot().failed) == (new, "")


def test_what_a_reload_drops_is_told_to_go_and_not_mourned() -> None:
    system = running(standby="live")
    system.pool.request_reload()
    system.tick()
    new = system.until(Stage.STARTING)
    system.pool.request_reload()
    system.wait(AFRESH)
    assert messages(system, new)[-1] == "Drain(within=30.0, linger=0.0)"
    assert (system.slot().incoming, system.slot().retiring) == (None, [new])
    system.settle()
    assert system.worker().generation == 3
    for words in ("ended before it was ready", "is gone", "aborted", "given up", "died"):
        assert not system.log.has(words)


def test_without_overlap_the_next_lifespan_waits_for_the_end_of_the_last() -> None:
    system = running(overlap=False)
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    while old.stage is Stage.SERVING:
        system.goes_on()
    assert (system.slot().worker, system.slot().retiring) == (None, [old])
    system.until(Stage.ARMED)
    system.wait(29.0)
    assert system.slot().worker is None, "although one is ready"
    system.dies(old, EXITED)
    assert system.slot().waits_for == 2 or system.worker().generation == 2
    system.settle()
    assert system.worker().generation == 2


def test_a_reload_that_has_proved_itself_ends_before_the_next_one_begins() -> None:
    system = running(2)
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    system.pool.request_reload()
    system.wait(2 * AFRESH)
    assert [g.number for g in system.pool.generations.all] == [2]
    system.ready(system.until(Stage.STARTING))
    system.tick()
    assert system.log.has("reload: done")
    assert [g.number for g in system.pool.generations.all] == [2, 3]


def test_a_reload_that_waits_is_due_in_the_moment_in_which_the_one_before_is_done() -> None:
    """Else it would begin with whatever the supervisor wakes up for next."""
    reload = Reload(overlap=True)
    reload.request()
    fresh: Any = SimpleNamespace(number=2, loaded=True)
    reload.begin(fresh, now=10.0)
    worker: Any = SimpleNamespace(generation=2)
    assert reload.on_ready(worker) is fresh
    reload.request()
    assert reload.deadline() is None, "the one before ends first"
    assert reload.step([], now=12.0) == Done(2.0)
    due = reload.deadline()
    assert due is not None
    assert due <= 12.0
    assert reload.is_due(12.0)


def test_new_code_is_loaded_once_even_where_no_slot_waits_for_it() -> None:
    system = running(standby="none", forkable=False)
    system.pool.request_reload()
    system.tick()
    assert [p.generation for p in system.at(Stage.LOADING)] == [2]


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
    system.tick()
    assert (system.slot(0).failed, system.slot(0).waits_for) == ("", 2), "the old code has had its chance"
    first = system.until(Stage.STARTING)
    assert (system.slot(0).worker, first.number, first.generation) == (first, 4, 2), "three were the old code's"
    system.settle()
    assert [system.worker(n).generation for n in (0, 1)] == [2, 2]
    system.dies(system.worker(0))
    assert not system.slot(0).failed, "its deaths are forgotten"


def test_no_slot_is_lost_where_two_reloads_and_three_deaths_meet() -> None:
    """The worker of generation 2 has become the slot's worker because the old one died, a second reload has taken the
    place of its generation, and then it dies before its first tick."""
    system = running()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    system.until(Stage.STARTING)
    second = system.slot().incoming
    assert second is not None
    system.dies(old)
    assert system.slot().worker is second
    system.pool.request_reload()
    system.wait(AFRESH)
    assert [g.number for g in system.pool.generations.all] == [1, 3]
    system.dies(next(p for p in system.at(Stage.LOADING) if p.generation == 3))
    assert system.log.has("reload aborted")
    system.dies(second)
    slot = system.slot()
    assert slot.worker or slot.waits_for or slot.retry_at, "the slot waits for its next worker"
    assert system.log.has("the standby ended before it could take its place")
    system.settle()
    assert system.worker().stage is Stage.SERVING
    assert system.worker().generation == 1


@pytest.mark.parametrize("overlap", [True, False])
def test_where_nothing_is_forked_the_new_workers_are_loaded_together(overlap: bool) -> None:
    """And yet one slot changes over after the other."""
    system = System(8, forkable=False, usable=8, overlap=overlap)
    system.settle()
    system.pool.request_reload()
    system.tick()
    loads, most = 0, 0
    for _ in range(200):
        if not system.pool.generations.reloading:
            break
        loading = system.at(Stage.LOADING)
        most = max(most, len(loading))
        loads += bool(loading)
        for process in loading:
            system.says(process, Loaded(False, "told so"))
        while moving := [p for s in (Stage.ARMING, Stage.STARTING, Stage.DRAINING) for p in system.at(s)]:
            assert sum(slot.worker is None or slot.incoming is not None for slot in system.pool.slots) <= 1
            system.advance(moving[0])
        system.wait(0.1)
    assert not system.pool.generations.reloading
    assert most >= 7
    assert loads <= 4, "the first one, all others, and the standby"
    system.settle()
    assert len(system.at(Stage.ARMED)) == 1


def test_no_more_processes_import_the_application_at_a_time_than_the_cores_bear() -> None:
    system = System(20, forkable=False, usable=2)
    assert len(system.at(Stage.LOADING)) == 2, "so that the first answer comes soon"
    first = system.at(Stage.LOADING)[0]
    system.says(first, Loaded(False, "told so"))
    assert len(system.at(Stage.LOADING)) == 2
    system.says(first, Armed())
    system.ready(first)
    assert len(system.at(Stage.LOADING)) == 2 * IMPORTS_A_CORE
    system.settle()
    assert len(system.pool.workers) == 20


def test_new_code_that_has_not_proved_itself_is_loaded_once() -> None:
    system = System(8, forkable=False, usable=8)
    system.settle()
    system.pool.request_reload()
    system.tick()
    assert len(system.at(Stage.LOADING)) == 1
