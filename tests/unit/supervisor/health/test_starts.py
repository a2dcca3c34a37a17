"""Starts that take long: when it is said, of which process, and what /readyz adds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from corepod.supervisor.health import starts
from corepod.supervisor.health.starts import FIRST, SlowStarts
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import System, running

if TYPE_CHECKING:
    from corepod.supervisor.pool.state import Process


@pytest.fixture(autouse=True)
def _has_handlers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starts, "catches", lambda pid, signum: True)


def looks(system: System, slow: SlowStarts, seconds: float) -> list[str]:
    """The lines of so many seconds in which nothing happens but the looks."""
    end, before = system.now + seconds, len(system.log.lines)
    while (due := slow.deadline()) is not None and due <= end:
        system.now = max(system.now, due)
        slow.look(system.now)
    system.now = end
    slow.look(system.now)
    return system.log.lines[before:]


def watched(system: System) -> SlowStarts:
    return SlowStarts(system.pool, system.log)  # type: ignore[arg-type]


def test_an_import_that_hangs_is_told_sparsely_and_shown_once() -> None:
    system = System()
    slow = watched(system)
    (bootstrap,) = system.at(Stage.LOADING)
    assert looks(system, slow, FIRST - 0.1) == []
    assert looks(system, slow, 1000) == [
        f"warning a start takes long: the application's import has taken {seconds} s"
        for seconds in (10, 30, 90, 270, 810)
    ]
    assert system.dumped == [bootstrap]
    assert slow.why(system.slot(), system.now) == "the application's import has taken 1010 s"


@pytest.mark.parametrize("live", [False, True])
def test_a_lifespan_that_hangs(live: bool) -> None:
    system = System(standby="live" if live else "armed")
    slow = watched(system)
    hangs: Process = system.until(Stage.STARTING)
    (line,) = looks(system, slow, FIRST)
    assert line == "warning a start takes long: the application's lifespan startup has taken 10 s"
    assert system.dumped == [hangs]
    assert slow.why(system.slot(), system.now) == "the application's lifespan startup has taken 10 s"
    system.ready(hangs)
    assert slow.why(system.slot(), system.now) == ""


def test_the_next_start_counts_anew() -> None:
    system = System()
    slow = watched(system)
    looks(system, slow, 100)
    (first,) = system.at(Stage.LOADING)
    system.dies(first)
    system.reap()
    second = system.until(Stage.LOADING)
    assert second is not first
    assert looks(system, slow, FIRST - 0.1) == []
    assert len(looks(system, slow, 1)) == 1
    assert system.dumped == [first, second]


def test_many_make_one_line() -> None:
    system = System(cores=5)
    slow = watched(system)
    while len(system.at(Stage.STARTING)) < 5:
        moving = [p for stage in (Stage.LOADING, Stage.FORKING, Stage.ARMING) for p in system.at(stage)]
        system.advance(moving[0])
    told = looks(system, slow, FIRST)
    assert told == ["warning a start takes long: the application's lifespan startup has taken 10 s (and 4 more)"]
    assert len(system.dumped) == 1


@pytest.mark.parametrize("settled", [running, lambda: System(debug=True)], ids=["all well", "a debugger"])
def test_nothing_to_tell(settled: Any) -> None:
    system = settled()
    slow = watched(system)
    assert slow.deadline() is None
    assert looks(system, slow, 1000) == []
    assert slow.why(system.slot(), system.now) == ""


def test_a_process_without_a_handler_is_not_asked_for_its_stacks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signal would end an interpreter that hangs before it runs our code."""
    monkeypatch.setattr(starts, "catches", lambda pid, signum: False)
    system = System()
    assert len(looks(system, watched(system), FIRST)) == 1
    assert system.dumped == []
