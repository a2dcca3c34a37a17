"""The look at what workers have reached: when it comes, what it asks the pool for, and what it says of the limits."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import pytest
from corepod.contract.scoreboard import REQUESTS
from corepod.supervisor.health import memory, procfs
from corepod.supervisor.health.memory import ControlGroup
from corepod.supervisor.health.recycling import LONGEST, SELDOM, SOON, Recycling
from corepod.supervisor.pool.recycle import LEAST_LIFE
from corepod.supervisor.pool.state import Stage

from tests.unit.supervisor.pool.system import running

if TYPE_CHECKING:
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.state import Process

MB = 1 << 20
NONE: dict[str, Any] = {
    "max_requests": 0,
    "max_requests_jitter": 0,
    "max_age": 0.0,
    "max_age_jitter": 0.0,
    "max_memory": 0,
    "recycle_at": "",
}


class Recycled:
    """A running pool, its recycling, and a clock that goes from one deadline to the next."""

    def __init__(self, slots: int = 1, **settings: Any) -> None:
        self.system = running(slots, **NONE | settings)
        self.dice = [0.5]
        self.sizes: dict[int, int] = {}  # by pid, in MB
        self.read: list[int] = []  # pids whose memory was read
        scoreboard, log = cast("SharedScoreboard", self.system.records), cast("StreamLog", self.system.log)
        wall = 1_700_000_000.0 - self.system.now
        self.recycling = Recycling(
            self.system.pool, scoreboard, log, self.random, self.system.now, lambda: self.system.now + wall
        )
        self.looks = 0

    def random(self) -> float:
        self.dice.append(self.dice.pop(0))
        return self.dice[-1]

    def rss(self, pid: int) -> int:
        self.read.append(pid)
        return self.sizes.get(pid, 100) * MB

    def passes(self, seconds: float) -> None:
        """Time passes, in which everything goes well."""
        end = self.system.now + seconds
        while True:
            self.recycling.look(self.system.now)
            self.looks += 1
            self.system.settle(quiet=0.0)
            self.recycling.look(self.system.now)  # as the loop does after each message
            at = self.recycling.deadline()
            assert at is not None
            assert at > self.system.now, "the supervisor would spin"
            if at > end:
                break
            self.system.now = at
        self.system.now = end

    def serves(self, requests: int, number: int = 0) -> None:
        worker = self.system.worker(number)
        self.system.records.rows[worker.record][REQUESTS] += requests

    @property
    def worker(self) -> Process:
        return self.system.worker()

    def said(self, text: str) -> int:
        return sum(text in line for line in self.system.log.lines)

    def replaced(self) -> list[dict[str, int]]:
        return [slot.replaced for slot in self.system.pool.slots]


@pytest.fixture
def sizes(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Lets a pool's memory be what the test says."""

    def of(recycled: Recycled) -> Recycled:
        monkeypatch.setattr(procfs, "rss", recycled.rss)
        monkeypatch.setattr(memory, "pss", lambda pid: recycled.sizes.get(pid, 100) * MB)
        return recycled

    return of


def test_by_requests() -> None:
    pool = Recycled(2, max_requests=100)
    pool.serves(98)  # each has served one when it got ready
    pool.serves(99, 1)
    pool.passes(LEAST_LIFE + SOON)
    assert pool.replaced() == [{}, {"requests": 1}]


def test_jitter_is_chosen_once_for_each_worker() -> None:
    pool = Recycled(2, max_requests=100, max_requests_jitter=10)
    pool.dice = [0.0, 1.0]
    pool.serves(105)
    pool.serves(105, 1)
    pool.passes(60.0)
    assert pool.replaced() == [{"requests": 1}, {}]
    pool.serves(5, 1)
    pool.passes(2 * SOON)
    assert pool.replaced()[1] == {"requests": 1}


def test_by_age_without_a_look_before() -> None:
    pool = Recycled(2, max_age=1000.0, max_age_jitter=100.0)
    pool.dice = [0.0, 1.0]
    pool.looks = 0
    pool.passes(999.0)
    assert pool.looks <= 1000.0 / LONGEST + 2, "nearly none"
    assert pool.replaced() == [{}, {}]
    pool.passes(2.0)
    assert pool.replaced() == [{"age": 1}, {}]
    pool.passes(100.0)
    assert pool.replaced() == [{"age": 1}, {"age": 1}]


def test_by_the_schedule() -> None:
    pool = Recycled(3, recycle_at="0 * * * *")
    at = pool.recycling.next_at
    assert at is not None
    first = pool.system.now
    pool.passes(at - 1_700_000_000.0 - 1.0)
    assert pool.replaced() == [{}, {}, {}]
    pool.passes(10.0)
    assert pool.replaced() == [{"schedule": 1}] * 3
    assert pool.recycling.next_at == at + 3600.0
    assert min(worker.since for worker in pool.system.pool.workers) > first
    pool.passes(3600.0)
    assert pool.replaced() == [{"schedule": 2}] * 3


def test_a_clock_that_is_put_forward_is_noticed() -> None:
    pool = Recycled(1, recycle_at="0 0 1 1 *")
    pool.recycling._wall = lambda: 1_800_000_000.0
    pool.passes(LONGEST + 1.0)
    assert pool.replaced() == [{"schedule": 1}]


def test_by_memory(sizes: Any) -> None:
    pool = sizes(Recycled(2, max_memory=200 * MB))
    pool.passes(100.0)
    assert pool.looks <= 100.0 / SELDOM + 2
    pool.sizes[pool.worker.pid] = 201
    pool.passes(SELDOM + 0.1)
    assert pool.replaced() == [{"memory": 1}, {}]


def test_near_the_limit_it_looks_more_often(sizes: Any) -> None:
    pool = sizes(Recycled(1, max_memory=200 * MB))
    pool.passes(10.0)
    pool.sizes[pool.worker.pid] = 190
    pool.passes(SELDOM)
    before = pool.looks
    pool.passes(10.0)
    assert pool.looks - before >= 10
    pool.sizes[pool.worker.pid] = 201
    pool.passes(SOON)
    assert pool.replaced() == [{"memory": 1}]


def test_memory_is_read_rarely_where_requests_are_counted_often(sizes: Any) -> None:
    pool = sizes(Recycled(1, max_memory=200 * MB, max_requests=1000))
    pool.passes(100.0)
    assert pool.looks >= 90
    assert len(pool.read) <= 100.0 / SELDOM + 2


def test_one_that_grows_fast_serves_longer_each_time(sizes: Any) -> None:
    pool = sizes(Recycled(1, max_memory=200 * MB))
    lives: list[float] = []
    for _ in range(5):
        pool.passes(0.1)  # it is seen while it is new
        worker, began = pool.worker, pool.worker.since
        pool.sizes[worker.pid] = 300
        for _ in range(100):
            if pool.worker is worker:
                pool.passes(0.5)
        lives.append(pool.worker.since - began)
    assert lives[1] >= 10.0
    assert lives[2] >= 20.0
    assert 40.0 <= lives[4] <= 42.0
    assert pool.said("max_memory is reached too soon") == 1


def test_a_limit_below_what_a_new_worker_needs(sizes: Any) -> None:
    pool = sizes(Recycled(1, max_memory=50 * MB))
    pool.passes(1000.0)
    assert pool.replaced() == [{}]
    assert pool.said("max_memory (50 MB) is less than a new worker needs, which is 100 MB") == 1


class Container:
    """A control group with a limit of 1000 MB."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.used: int | None = 100
        monkeypatch.setattr(ControlGroup, "fullest", lambda _: self.used and (self.used * MB, 1000 * MB))


@pytest.fixture
def container(monkeypatch: pytest.MonkeyPatch) -> Container:
    return Container(monkeypatch)


def test_a_share_of_the_container(sizes: Any, container: Container) -> None:
    pool = sizes(Recycled(3, max_memory="80%"))
    pool.passes(10.0)
    pool.sizes[pool.system.worker(1).pid] = 300
    pool.sizes[pool.system.worker(2).pid] = 250
    container.used = 790
    pool.passes(10.0)
    assert pool.replaced() == [{}, {}, {}]
    container.used = 810
    pool.recycling.look(pool.system.now + SELDOM)
    assert pool.said("the container's memory is short (810 MB of 1000 MB are in use, and max_memory is 80%)") == 1
    while pool.system.at(Stage.STARTING) or not pool.system.slot(1).retiring:
        pool.system.goes_on()
    for _ in range(5):  # what drains is about to give its memory back
        pool.system.wait(1.0)
        pool.recycling.look(pool.system.now)
    container.used = 600
    pool.passes(60.0)
    assert pool.replaced() == [{}, {"memory": 1}, {}]


def test_others_in_the_container_use_it(sizes: Any, container: Container) -> None:
    pool = sizes(Recycled(2, max_memory="80%"))
    container.used = 900
    pool.passes(300.0)
    assert pool.replaced() == [{}, {}]
    assert pool.said("no worker has grown since it was new: something else uses the memory") == 1


def test_a_container_without_a_limit(sizes: Any, container: Container) -> None:
    container.used = None
    pool = sizes(Recycled(1, max_memory="80%"))
    pool.passes(300.0)
    assert pool.said("max_memory has no effect: the container has no limit of memory") == 1
    container.used = 900
    pool.sizes[pool.worker.pid] = 500
    pool.passes(SELDOM)
    assert pool.replaced() == [{"memory": 1}], "one may be set while the pool runs"


def test_a_limit_of_one_request_is_no_storm() -> None:
    pool = Recycled(2, max_requests=1)
    for _ in range(120):
        pool.serves(10)
        pool.serves(10, 1)
        pool.passes(0.5)
    assert all(1 <= slot["requests"] <= 60.0 / LEAST_LIFE for slot in pool.replaced())
    assert pool.said("max_requests is reached too soon: it has served") == 1
    assert pool.said("Raise max_requests") == 1


def test_a_new_worker_that_fails_is_tried_again_ever_more_rarely() -> None:
    pool = Recycled(1, max_age=10.0)
    old, attempts = pool.worker, []
    for _ in range(4000):
        pool.recycling.look(pool.system.now)
        for starting in pool.system.at(Stage.STARTING):
            attempts.append(pool.system.now)
            pool.system.fails(starting)
        pool.system.goes_on()
        if len(attempts) == 5:
            break
    assert pool.worker is old
    pauses = [later - before for before, later in pairwise(attempts)]
    assert len(pauses) == 4
    assert all(later > 1.5 * before for before, later in pairwise(pauses))
    assert pool.said("keeps its worker") == pool.said("makes way") == 1


def test_nothing_in_a_stop() -> None:
    pool = Recycled(1, max_age=10.0)
    pool.system.pool.lame(pool.system.now)
    assert pool.recycling.deadline() is None
    pool.recycling.look(pool.system.now + 100.0)
    assert pool.said("makes way") == 0
