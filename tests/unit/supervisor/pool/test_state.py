"""What processes and slots know of themselves, change by change."""

from __future__ import annotations

import pytest
from corepod.supervisor.pool.exits import ExitReport
from corepod.supervisor.pool.state import Process, Slot, Stage

DEATH = ExitReport("signal SIGKILL", "signal SIGKILL", "", 0, [], 1.0, 137, 0)


def worker(slot: Slot, number: int = 1) -> Process:
    process = Process(Stage.ARMED, 1, 90.0)
    process.has_pid(100 + number)
    process.take_place(slot, number, number, 5000.0, 100.0)
    return process


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        (Stage.LOADING, "bootstrap"),
        (Stage.TEMPLATE, "template"),
        (Stage.FORKING, "forking"),
        (Stage.ARMING, "standby"),
        (Stage.ARMED, "standby"),
        (Stage.DRAINING, "standby"),
    ],
)
def test_the_name_of_a_process_without_a_slot(stage: Stage, name: str) -> None:
    process = Process(stage, 1, 0.0)
    assert process.who == {"process": name, "pid": None}
    process.has_pid(4711)
    assert process.who == {"process": name, "pid": 4711}


def test_the_name_of_a_worker() -> None:
    process = worker(Slot(3, 7), number=12)
    assert process.who == {"worker": 12, "slot": 3, "core": 7, "pid": 112}


def test_a_worker_is_ready_from_when_it_serves() -> None:
    slot = Slot(0, None)
    slot.count_boot_failure()
    process = worker(slot)
    assert (process.started_at, process.ready_at, process.served(130.0)) == (5000.0, None, 0.0)
    assert (process.willing, process.unwilling_why) == (True, ""), "nothing else has been said"
    process.serve(5020.0, 120.0)
    assert (process.ready_at, process.served(130.0), slot.boot_failures) == (5020.0, 10.0, 0)


def test_whoever_has_lost_its_socket_ends_at_the_earlier_of_two_deadlines() -> None:
    process = worker(Slot(0, None))
    process.expect_end(101.0)
    assert process.kill_at == 101.0
    process.drain(30.0, 100.0)
    assert process.kill_at == 130.0
    process.expect_end(101.0)
    assert process.kill_at == 101.0
    process.expect_end(105.0)
    assert process.kill_at == 101.0


def test_the_first_cause_of_a_kill_explains_it() -> None:
    process = worker(Slot(0, None))
    process.expect_end(101.0)
    process.killed("stuck")
    process.killed("the pool was stopped at once")
    assert (process.cause, process.kill_at) == ("stuck", None)


def test_a_slot_is_idle_while_it_neither_has_nor_expects_a_worker() -> None:
    slot = Slot(0, None)
    assert slot.idle
    slot.wait(1, 0.0)
    assert not slot.idle
    slot.stop_waiting()
    slot.pause(10.0)
    assert not slot.idle
    slot.resume()
    assert slot.idle
    slot.give_up("why")
    assert not slot.idle
    slot.forgive()
    assert slot.idle
    process = worker(slot)
    assert not slot.idle
    process.drain(1.0, 100.0)
    assert slot.idle, "it may get its next one"
    assert slot.processes == [process]


def test_a_slots_turn_counts_from_when_it_began_to_wait() -> None:
    slot = Slot(0, None)
    slot.wait(1, 5.0)
    slot.wait(2, 7.0)
    assert (slot.waits_for, slot.waits_since) == (2, 5.0)
    slot.pause(20.0)
    slot.wait(2, 8.0)
    assert slot.retry_at is None
    worker(slot)
    slot.wait(1, 9.0)
    assert slot.waits_since == 9.0


def test_a_worker_beside_another_takes_over_when_that_one_is_gone() -> None:
    slot = Slot(0, None)
    old, new = worker(slot, 1), worker(slot, 2)
    assert (slot.worker, slot.incoming) == (old, new)
    slot.forget(old, [0] * len(slot.totals), 0, 0)
    assert (slot.worker, slot.incoming, slot.processes) == (new, None, [new])


def test_a_worker_that_drains_is_in_its_slot_until_it_is_dead_and_touches_nobody_elses_place() -> None:
    slot = Slot(0, None)
    old, new = worker(slot, 1), worker(slot, 2)
    assert slot.hand_over() is old
    assert (slot.worker, slot.incoming) == (new, None)
    for _ in range(2):
        old.drain(30.0, 100.0)
    assert (slot.worker, slot.processes) == (new, [new, old])
    slot.forget(old, [0] * len(slot.totals), 3, 0)
    assert (slot.worker, slot.processes, slot.lost) == (new, [new], 3)
    assert slot.cpu_before == 0.0, "it was never looked at"


def test_deaths_are_remembered_for_the_budgets_window() -> None:
    slot = Slot(0, None)
    for now in (0.0, 30.0, 59.0, 60.0, 89.0):
        slot.count_death(DEATH, 0.0, now, 60.0)
    assert list(slot.deaths) == [30.0, 59.0, 60.0, 89.0]
    slot.count_death(DEATH, 0.0, 90.0, 60.0)
    assert list(slot.deaths) == [59.0, 60.0, 89.0, 90.0]
    assert (slot.restarts, slot.reasons, slot.streak.count) == (6, {"signal SIGKILL": 6}, 6)
    slot.count_death(DEATH, 60.0, 90.0, 0.0)
    assert (list(slot.deaths), slot.streak.count) == ([], 1)


def test_new_code_is_a_new_chance() -> None:
    slot = Slot(0, None)
    slot.count_death(DEATH, 0.0, 0.0, 60.0)
    slot.count_boot_failure()
    assert (slot.boot_failures, slot.streak.count) == (1, 2)
    slot.give_up("why")
    slot.forgive()
    assert (slot.failed, slot.boot_failures, slot.streak.count, list(slot.deaths)) == ("", 0, 0, [])
    assert slot.restarts == 1, "that is no secret"
