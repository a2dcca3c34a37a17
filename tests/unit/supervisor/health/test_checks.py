"""The regular look at the workers of a pool of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from corepod.contract.scoreboard import TICK
from corepod.supervisor.health import checks as module
from corepod.supervisor.health.checks import ANSWER_AGE, TOGETHER, Checks
from corepod.supervisor.health.procfs import Cgroup

from tests.unit.supervisor.pool.system import System, running

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog

SETTINGS = {
    "busy_after": 30.0,
    "busy_timeout": 300.0,
    "stuck_dump": 10.0,
    "stuck_timeout": 60.0,
    "stalled_after": 5.0,
    "wsgi_timeout": 0.0,
    "debug": False,
}


class Looked:
    """A running pool whose checks read CPU times from the test, and the pids that they have asked for."""

    def __init__(self, slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.system: System = running(slots, records=slots + 2, **SETTINGS)
        self.pids: list[int] = []
        monkeypatch.setattr(module, "thread_time", lambda pid: self.pids.append(pid))
        monkeypatch.setattr(module, "cpu_time", lambda pid: 1.0)
        scoreboard, log = cast("SharedScoreboard", self.system.records), cast("StreamLog", self.system.log)
        self.checks = Checks(self.system.pool, scoreboard, Cgroup(), log, self.system.now)
        self.turn_all(self.system.now)

    def turn_all(self, at: float) -> None:
        """Every loop has just turned."""
        for worker in self.system.pool.workers:
            self.system.records.rows[worker.record][TICK] = int(at * 1e9)

    def due(self) -> float:
        deadline = self.checks.deadline()
        assert deadline is not None
        return deadline


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Looked]:
    return lambda slots: Looked(slots, monkeypatch)


def test_a_small_pool_is_looked_at_at_once(looked: Callable[[int], Looked]) -> None:
    pool = looked(3)
    now = pool.due()
    pool.checks.look(now)
    assert len(pool.pids) == 3
    assert pool.due() > now
    pool.checks.look(now)
    assert len(pool.pids) == 3


def test_a_large_pool_is_looked_at_in_several_turns(looked: Callable[[int], Looked]) -> None:
    pool = looked(3 * TOGETHER + 1)
    now = pool.due()
    for turn in range(1, 4):
        pool.checks.look(now)
        assert len(pool.pids) == turn * TOGETHER
        assert pool.due() == now, "there is more to do"
    pool.checks.look(now)
    assert sorted(pool.pids) == sorted(worker.pid for worker in pool.system.pool.workers)
    assert pool.due() > now


def test_who_dies_during_a_round_is_not_looked_at(looked: Callable[[int], Looked]) -> None:
    pool = looked(2 * TOGETHER)
    now = pool.due()
    pool.checks.look(now)
    dead = pool.system.pool.slots[-1].worker
    assert dead is not None
    pool.system.dies(dead)
    pool.checks.look(now)
    assert dead.pid not in pool.pids
    assert len(pool.pids) == 2 * TOGETHER - 1


def test_a_probe_waits_for_the_first_worker_that_accepts(looked: Callable[[int], Looked]) -> None:
    pool = looked(3 * TOGETHER)
    pool.checks.look(pool.due())
    pool.turn_all(pool.system.now)
    while pool.due() <= pool.system.now:
        pool.checks.look(pool.system.now)
    pool.pids.clear()
    later = pool.system.now + ANSWER_AGE
    pool.checks.look(later, asked=True)
    assert len(pool.pids) == TOGETHER
    for _ in range(2):
        pool.checks.look(later)
    assert len(pool.pids) == 3 * TOGETHER


def test_a_probe_looks_at_everybody_where_nobody_accepts(looked: Callable[[int], Looked]) -> None:
    pool = looked(3 * TOGETHER)
    pool.turn_all(0.0)
    now = pool.system.now
    while now < pool.system.now + SETTINGS["busy_after"] + 10.0:
        now = pool.due()
        pool.checks.look(now)
    while pool.due() <= now:
        pool.checks.look(now)
    pool.pids.clear()
    pool.checks.look(now + ANSWER_AGE, asked=True)
    assert len(pool.pids) == 3 * TOGETHER
