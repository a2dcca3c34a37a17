"""Busy or stuck, over time: what a worker's loop and its thread do, second by second, and what is made of it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from corepod.supervisor.health.watchdog import FRESH, Step, Watchdog, interval
from corepod.supervisor.settings import Settings

LIMITS = {
    "debug": False,
    "stuck_dump": 10.0,
    "stuck_timeout": 60.0,
    "busy_after": 30.0,
    "busy_timeout": 300.0,
    "stalled_after": 5.0,
    "wsgi_timeout": 0.0,
}


def limits(**changed: float | bool) -> Settings:
    return Settings({**LIMITS, **changed})


class Worker:
    """A worker as two clocks show it, looked at once a second."""

    def __init__(self, **changed: float | bool) -> None:
        self.settings = limits(**changed)
        self.now = self.tick = 1000.0
        self.cpu = 5.0
        self.stalled_since = 0.0
        self.watch = Watchdog(self.now, self.settings.stalled_after)
        self.steps: list[tuple[float, Step]] = []

    def runs(self, seconds: float) -> Worker:
        """Its loop turns, with a third of a core."""
        return self._pass(seconds, cpu=0.3, ticks=True)

    def sleeps(self, seconds: float) -> Worker:
        """Blocked, without CPU: a lock, time.sleep, a query to a database that doesn't answer."""
        return self._pass(seconds, cpu=0.0)

    def burns(self, seconds: float, cpu: float = 1.0) -> Worker:
        """Blocked by computing."""
        return self._pass(seconds, cpu=cpu)

    def throttled(self, seconds: float, share: float) -> Worker:
        """Blocked, and for a share of the time not allowed to run."""
        return self._pass(seconds, cpu=0.0, throttled=share)

    def stalls(self, seconds: float, *, throttled: float = 0.0) -> Worker:
        """Its loop turns, and all its threads have stalled since the beginning of this."""
        self.stalled_since = self.stalled_since or self.now
        return self._pass(seconds, cpu=0.0, ticks=True, throttled=throttled)

    def moves(self) -> Worker:
        """One of its threads makes progress."""
        self.stalled_since = 0.0
        return self

    def _pass(self, seconds: float, *, cpu: float, ticks: bool = False, throttled: float = 0.0) -> Worker:
        for _ in range(int(seconds)):
            self.now += 1
            self.cpu += cpu
            self.tick = self.now if ticks else self.tick
            self.look(throttled=throttled)
        return self

    def look(self, *, late: bool = False, throttled: float = 0.0) -> Worker:
        self.watch.observe(
            self.now,
            tick=self.tick,
            cpu=self.cpu,
            late=late,
            throttled=throttled,
            stalled_since=self.stalled_since,
        )
        step = self.watch.step(self.settings)
        if step is Step.DUMP:
            self.watch.writes_stacks()
        if step is Step.DUMP or (step is Step.END and self.steps[-1][1] is not Step.END):
            self.steps.append((self.now - 1000, step))
        return self

    def supervisor_sleeps(self, seconds: float, *, machine: bool = False) -> Worker:
        """The supervisor alone is stopped, or the whole machine is: then no clock but time itself moves."""
        self.now += seconds
        if not machine:
            self.tick = self.now - 0.2
            self.cpu += 0.3 * seconds
        return self.look(late=True)


class Case(NamedTuple):
    worker: Worker
    state: str
    steps: list[tuple[float, Step]]
    accepts: bool


CASES = {
    "turns": Case(Worker().runs(100), "ready", [], True),
    "a short block": Case(Worker().sleeps(1), "ready", [], True),
    "stuck": Case(Worker().runs(5).sleeps(9), "stuck", [], False),
    "stuck for long": Case(Worker().sleeps(12), "stuck", [(11, Step.DUMP)], False),
    "stuck for too long": Case(Worker().sleeps(70), "stuck", [(11, Step.DUMP), (61, Step.END)], False),
    "stuck, and at work for a moment to write its stacks": Case(
        Worker().sleeps(11).burns(1).sleeps(60), "stuck", [(11, Step.DUMP), (62, Step.END)], False
    ),
    "stuck, and at work as soon as its stacks are written": Case(
        Worker().sleeps(11).burns(60), "busy", [(11, Step.DUMP), (31, Step.DUMP)], False
    ),
    "stuck and back": Case(Worker().sleeps(40).runs(1), "ready", [(11, Step.DUMP)], True),
    "stuck twice": Case(Worker().sleeps(12).runs(1).sleeps(12), "stuck", [(11, Step.DUMP), (24, Step.DUMP)], False),
    "busy": Case(Worker().burns(20), "busy", [], True),
    "busy for long": Case(Worker().burns(40), "busy", [(31, Step.DUMP)], False),
    "busy for too long": Case(Worker().burns(310), "busy", [(31, Step.DUMP), (301, Step.END)], False),
    "busy at 5 % of a core, as on a full machine": Case(
        Worker().burns(100, cpu=0.05), "busy", [(31, Step.DUMP)], False
    ),
    "a look at a lock now and then is no work": Case(Worker().burns(12, cpu=0.005), "stuck", [(11, Step.DUMP)], False),
    "busy, then stuck": Case(
        Worker().burns(40).sleeps(61), "stuck", [(31, Step.DUMP), (50, Step.DUMP), (100, Step.END)], False
    ),
    "stuck, then busy": Case(Worker().sleeps(50).burns(20), "busy", [(11, Step.DUMP), (51, Step.DUMP)], False),
    "never stuck for long at once": Case(
        Worker().sleeps(50).burns(1).sleeps(50),
        "stuck",
        [(11, Step.DUMP), (51, Step.DUMP), (61, Step.DUMP)],
        False,
    ),
    "no end for the stuck": Case(Worker(stuck_timeout=0).sleeps(1000), "stuck", [(11, Step.DUMP)], False),
    "no end for the busy": Case(Worker(busy_timeout=0).burns(1000), "busy", [(31, Step.DUMP)], False),
    "a debugger sits in it": Case(Worker(debug=True).sleeps(1000), "stuck", [], False),
    "stacks before an end, whatever the limits": Case(
        Worker(stuck_dump=100, stuck_timeout=20).sleeps(25), "stuck", [(11, Step.DUMP), (21, Step.END)], False
    ),
    "throttled the whole time": Case(Worker().throttled(1000, 1.0), "ready", [], True),
    "throttled half of the time": Case(Worker().throttled(100, 0.5), "stuck", [(21, Step.DUMP)], False),
    "throttled on many cores at once": Case(Worker().throttled(1000, 8.0), "ready", [], True),
    "the supervisor was stopped": Case(Worker().runs(5).supervisor_sleeps(1000), "ready", [], True),
    "the machine was stopped": Case(Worker().runs(5).supervisor_sleeps(1000, machine=True), "ready", [], True),
    "stopped while it was suspect": Case(
        Worker().sleeps(9).supervisor_sleeps(1000, machine=True).runs(1), "ready", [], True
    ),
    "threads that stall": Case(Worker().runs(5).stalls(4), "ready", [], True),
    "threads that stall for long": Case(Worker().stalls(6), "stuck", [], False),
    "threads that stall for too long": Case(Worker().stalls(70), "stuck", [(10, Step.DUMP), (60, Step.END)], False),
    "threads that go on in time": Case(Worker().stalls(40).moves().runs(1), "ready", [(10, Step.DUMP)], True),
    "threads that stall again and again": Case(
        Worker().stalls(50).moves().stalls(50), "stuck", [(10, Step.DUMP), (60, Step.DUMP)], False
    ),
    "threads that are to make way before that": Case(
        Worker(wsgi_timeout=120.0).stalls(180), "stuck", [(10, Step.DUMP), (180, Step.END)], False
    ),
    "a loop that is stuck all the same": Case(
        Worker(wsgi_timeout=120.0).sleeps(61), "stuck", [(11, Step.DUMP), (61, Step.END)], False
    ),
    "threads that may stall for any time": Case(Worker(stalled_after=0).stalls(1000), "ready", [], True),
    "threads that may stall for a long time": Case(
        Worker(stalled_after=100).stalls(101), "stuck", [(100, Step.DUMP), (101, Step.END)], False
    ),
    "threads that stall in a debugger": Case(Worker(debug=True).stalls(1000), "stuck", [], False),
    "threads that stall, and then the loop is stuck": Case(
        Worker().stalls(12).sleeps(61), "stuck", [(10, Step.DUMP), (73, Step.END)], False
    ),
    "threads that stall, and then the loop is busy": Case(
        Worker().stalls(12).burns(20), "busy", [(10, Step.DUMP)], True
    ),
    "threads throttled the whole time": Case(Worker().stalls(100, throttled=1.0), "ready", [], True),
    "threads that stall while the supervisor is stopped": Case(
        Worker().stalls(3).supervisor_sleeps(1000), "ready", [], True
    ),
    "stopped again and again": Case(
        Worker().sleeps(5).supervisor_sleeps(99, machine=True).sleeps(2).supervisor_sleeps(99, machine=True),
        "stuck",
        [],
        False,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_over_time(case: Case) -> None:
    assert (case.worker.watch.state(), case.worker.steps) == (case.state, case.steps)
    assert case.worker.watch.accepts(case.worker.settings) is case.accepts


def test_a_check_that_came_rarely_still_knows_since_when() -> None:
    watch = Watchdog(1000.0)
    watch.observe(1000.0, tick=999.9, cpu=1.0, late=False, throttled=0.0)
    watch.observe(1005.0, tick=1002.0, cpu=1.0, late=False, throttled=0.0)
    assert watch.blocked == 3.0  # since the tick, not since the last check


def test_the_first_look_accuses_nobody() -> None:
    watch = Watchdog(1000.0)
    watch.observe(1000.0, tick=1000.0 - 2 * FRESH, cpu=1.0, late=False, throttled=0.0)
    assert watch.state() == "ready"


def test_without_a_clock_of_the_thread_it_is_never_called_stuck() -> None:
    """A sandbox that hides /proc: busy_timeout is what is left."""
    watch = Watchdog(1000.0)
    for second in range(40):
        watch.observe(1000.0 + second, tick=1000.0, cpu=None, late=False, throttled=0.0)
    assert watch.state() == "busy"


@pytest.mark.parametrize(
    ("changed", "idle", "suspect"),
    [
        ({}, 5.0, 1.0),
        ({"busy_after": 2.0}, 1.0, 0.2),
        ({"stuck_timeout": 0, "busy_timeout": 0}, 5.0, 1.0),
        ({"stuck_dump": 0.1}, 0.1, 0.1),
        ({"stuck_dump": 600.0, "stuck_timeout": 0, "busy_after": 600.0, "busy_timeout": 0}, 5.0, 1.0),
    ],
)
def test_how_often_it_looks(changed: dict[str, float], idle: float, suspect: float) -> None:
    assert interval(limits(**changed), suspect=False) == pytest.approx(idle)
    assert interval(limits(**changed), suspect=True) == pytest.approx(suspect)
