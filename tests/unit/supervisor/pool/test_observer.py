"""What an observer of the pool is told, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_BUDGET, EXIT_OK
from corepod.supervisor.pool.observer import Observer
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import EXITED, System

if TYPE_CHECKING:
    from corepod.supervisor.pool.exits import ExitReport
    from corepod.supervisor.pool.state import Process, Slot


class Notes(Observer):
    def __init__(self) -> None:
        self.taken: list[tuple[object, ...]] = []

    def first_ready(self, worker: Process) -> None:
        self.taken.append(("ready", worker.number))

    def exited(self, worker: Process, report: ExitReport, *, planned: bool) -> None:
        self.taken.append(("exit", worker.number, report.reason, planned))

    def reloaded(self, failure: str, seconds: float) -> None:
        self.taken.append(("reload", failure))

    def gave_up(self, slot: Slot | None, why: str, code: int | None) -> None:
        self.taken.append(("gave up", slot.number if slot else None, code))


def story(cores: int = 1, **settings: Any) -> tuple[System, Notes]:
    notes = Notes()
    system = System(cores, observer=notes, **settings)
    system.settle()
    return system, notes


def test_the_first_worker_that_is_ready_and_no_other() -> None:
    system, notes = story(2)
    system.dies(system.worker())
    system.settle()
    assert [what for what, *_ in notes.taken] == ["ready", "exit"]
    assert notes.taken[1][2:] == ("signal SIGKILL", False)


def test_a_reload() -> None:
    system, notes = story()
    old = system.worker()
    system.pool.request_reload()
    system.tick()
    system.ready(system.until(Stage.STARTING))
    system.dies(old, EXITED)
    system.settle()
    assert notes.taken[1:] == [("reload", ""), ("exit", old.number, "exit code 0", True)]
    system.pool.request_reload()
    system.tick()
    system.fails(system.until(Stage.STARTING))
    assert [what for what, *_ in notes.taken[3:]] == ["exit", "reload"]
    assert notes.taken[-1] == ("reload", "a new worker didn't become ready")


@pytest.mark.parametrize("lame", [True, False])
def test_a_reload_that_a_stop_cuts_off(lame: bool) -> None:
    system, notes = story()
    system.pool.request_reload()
    system.tick()
    loading = system.until(Stage.LOADING)
    if lame:
        system.pool.lame(system.now)
        system.fails(loading, "missing")
    system.pool.drain(10.0, system.now)
    system.settle()
    assert [one for one in notes.taken if one[0] == "reload"] == [("reload", "the pool is stopping")]


def test_giving_up() -> None:
    system, notes = story(crash_budget=(1, 60.0))
    for _ in range(2):
        system.dies(system.worker())
        system.settle()
    assert system.pool.exit_code == EXIT_BUDGET
    assert [one for one in notes.taken if one[0] == "gave up"] == [("gave up", 0, None), ("gave up", None, EXIT_BUDGET)]
    assert notes.taken[-3][0] == "exit", "what led to it comes first"


def test_a_stop_is_no_giving_up() -> None:
    system, notes = story()
    worker = system.worker()
    system.pool.stop_now(EXIT_OK, system.now)
    system.reap()
    assert notes.taken[1:] == [("exit", worker.number, "the pool was stopped at once", True)]
