"""The pool under random events: whatever happens, in whatever order, no slot is lost and everything is accounted for.

A run is a seed: it chooses the settings and thousands of events. A failure names the seed and the last events.
"""

from __future__ import annotations

import os
import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.messages import (
    Activate,
    Armed,
    Drain,
    Failed,
    Fork,
    Hello,
    Imported,
    Lame,
    Load,
    Loaded,
    Malformed,
    Message,
    Readiness,
    Ready,
    Refused,
    Signalled,
    TurnAnswer,
    TurnRequest,
    Unforkable,
    Unpinned,
)
from corepod.contract.scoreboard import REQUESTS
from corepod.supervisor.pool.exits import Exit
from corepod.supervisor.pool.pool import OFFENCE
from corepod.supervisor.pool.state import ASKED, Process, Slot, Stage

from tests.unit.supervisor.pool.system import EXITED, FAILED_BOOT, SIGKILL, System

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Many short tests rather than a few long ones: each has to end in time on a busy machine, too.
PARTS, RUNS = (16, 100) if os.environ.get("CI") else (4, 60)
EVENTS = 500  # of a run
BOUND = 1000.0  # seconds within which every stop ends


class Chaos:
    """One run: events by the dice, and after each what must hold."""

    def __init__(self, seed: int) -> None:
        self.seed, self.dice = seed, random.Random(seed)
        dice = self.dice
        slots = dice.choice([1, 1, 2, 3, 20])
        standbys = dice.choice([1, 1, 2, 4])
        self.most = slots + 2
        self.calm = dice.choice([1, 1, 4, 12])  # how much more goes well than goes wrong
        self.budget = dice.choice([(5, 60.0), (1, 10.0), (0, 0.0), (50, 1.0)])
        self.settings: dict[str, Any] = {
            "preload": dice.choice(["libraries", "libraries", "application", "nothing"]),
            "standby": dice.choice(["armed", "armed", "live", "none"]),
            "standbys": standbys,
            # Of several with different ages one would always be due soon, and nothing would ever settle.
            "live_max_age": dice.choice([0.0, 300.0 if standbys == 1 else 1200.0]),
            "overlap": dice.random() < 0.7,
            "take_turns": dice.choice([0, 0, 1, 3]),
            "crash_budget": self.budget,
        }
        records = dice.choice([self.most + 1, 64])
        forkable, usable = dice.random() < 0.8, dice.choice([1, 2, 64])
        self.system = System(slots, forkable=forkable, records=records, usable=usable, **self.settings)
        self.pool = self.system.pool
        self.broken: set[Stage] = set()  # what the application fails at
        self.removed: list[Slot] = []
        self.trace: list[str] = []

    def run(self, events: int = EVENTS) -> None:
        for _ in range(events):
            self.happens([*WITHIN_A_STEP, *BETWEEN_STEPS])
            self.check()
            if self.pool.exit_code is not None:
                return

    def happens(self, table: list[tuple[Callable[[Chaos], None], int]]) -> None:
        weights = [weight * (self.calm if event is Chaos.goes_well else 1) for event, weight in table]
        event = self.dice.choices([event for event, _ in table], weights)[0]
        self.trace.append(event.__name__)
        event(self)

    def one(self, *stages: Stage) -> Process | None:
        found = [p for stage in stages for p in self.system.at(stage)]
        return self.dice.choice(found) if found else None

    def note(self, process: Process, what: str = "") -> None:
        self.trace.append(f"    {what} {process.stage.value} {process.pid}")

    # Events

    def goes_well(self) -> None:
        process = self.one(Stage.LOADING, Stage.FORKING, Stage.IMPORTING, Stage.ARMING, Stage.STARTING, Stage.DRAINING)
        if process is None:
            return
        self.note(process)
        starts = Stage.STARTING if process.live and process.stage is Stage.ARMING else process.stage
        starts = Stage.LOADING if process.stage is Stage.IMPORTING else starts
        if starts in self.broken:
            self.system.fails(process, self.dice.choice(["exception", "exception", "missing"]))
        elif process in self.system.open or process.stage is Stage.DRAINING:
            self.system.advance(process, forkable=self.dice.random() < 0.9)

    def runs_without_being_ready(self) -> None:
        if (process := self.one(Stage.STARTING)) is not None:
            self.system.runs(process)

    def dies(self) -> None:
        if self.system.alive:
            process = self.dice.choice(list(self.system.alive.values()))
            self.note(process)
            self.system.dies(process, self.dice.choice([SIGKILL, EXITED, Exit(0, 11, dumped=True, oom=False)]))

    def fails(self) -> None:
        if (process := self.one(Stage.LOADING, Stage.IMPORTING, Stage.ARMING, Stage.STARTING)) is not None:
            self.note(process)
            self.system.fails(process)

    def dies_with_its_boot_still_unread(self) -> None:
        if (process := self.one(Stage.STARTING)) is not None:
            self.system.dies(process, FAILED_BOOT)

    def loses_its_socket(self) -> None:
        if self.system.open:
            process = self.dice.choice(sorted(self.system.open, key=lambda p: (p.pid, p.since)))
            self.note(process)
            self.system.loses(process)

    def fork_is_refused(self) -> None:
        if (process := self.one(Stage.FORKING)) is not None:
            self.system.says(process, Refused("Resource temporarily unavailable"))

    def template_is_unforkable(self) -> None:
        if (process := self.one(Stage.TEMPLATE)) is not None:
            self.system.says(process, Unforkable("2 threads"))

    def says_what_it_should_not(self) -> None:
        """An application shares the descriptor with its worker: it may write to it whatever it likes, and so may all
        that it gives it to."""
        if not self.system.open:
            return
        process = self.dice.choice(sorted(self.system.open, key=lambda p: (p.pid, p.since)))
        message = self.dice.choice(HOSTILE)
        living = [*self.system.alive, process.pid]
        sender = self.dice.choice([process.pid, self.dice.choice(living), self.system.child(), 0, 1, -1])
        self.note(process, f"{message!r} of {sender}")
        before = set(self.system.killed)
        self.system.says(process, message, sender)
        # A message in its place may lead to the end of others, such as those that a new generation replaces.
        for killed in {one for one in self.system.killed - before if one.cause.startswith(OFFENCE)}:
            assert killed.pid in (process.pid, sender), "one that it has nothing to do with"

    def system_refuses(self) -> None:
        self.system.refuses = self.dice.random() < 0.3

    def code_changes(self) -> None:
        self.broken = self.dice.choice([set(), set(), set(), {Stage.LOADING}, {Stage.STARTING}])

    def is_signalled(self) -> None:
        """Somebody tells a worker itself to stop."""
        if (process := self.one(Stage.STARTING, Stage.SERVING, Stage.DRAINING)) is not None:
            self.note(process)
            self.system.says(process, Signalled())

    def reload(self) -> None:
        self.pool.request_reload()
        self.system.tick()

    def restart(self) -> None:
        slot = self.dice.choice(self.pool.slots)
        why = self.pool.restart(slot, "it was asked for", self.system.now)
        self.trace.append(f"    slot {slot.number} {why}")
        self.system.tick()

    def recycle(self) -> None:
        slot = self.dice.choice(self.pool.slots)
        changing = [other for other in self.pool.slots if other.changing]
        why = self.pool.recycle(slot, "age", "it has served for an hour", self.system.now)
        self.trace.append(f"    slot {slot.number} {why}")
        assert why or not changing, "two slots at once"
        self.system.tick()

    def turn_comes(self) -> None:
        self.system.answers_turn()

    def turn_is_refused(self) -> None:
        self.system.answers_turn("the shared state can't be reached")

    def slot_more(self) -> None:
        if len(self.pool.slots) < self.most and not self.pool.stopping:
            self.pool.add_slot(None)
            self.system.tick()

    def slot_less(self) -> None:
        if len(self.pool.slots) > 1 and not self.pool.stopping:
            self.removed.append(self.pool.slots[-1])
            self.pool.remove_slot(self.system.now)
            self.system.reap()
            self.system.tick()

    def cores_change(self) -> None:
        """As `supervisor/scaling.py` does it: the slots follow by any number at once, and those that stay move."""
        if self.pool.stopping:
            return
        cores = self.dice.randint(1, self.most)
        self.pool.generations.use(cores)
        for _ in range(abs(cores - len(self.pool.slots))):
            (self.slot_more if len(self.pool.slots) < cores else self.slot_less)()
        for slot in self.pool.slots:
            slot.move(self.dice.choice([None, slot.number]))

    def a_moment_passes(self) -> None:
        self.system.wait(self.dice.choice([0.01, 0.1, 0.3, 1.0]))

    def time_passes(self) -> None:
        self.system.wait(self.dice.choice([2.0, 10.0, 31.0, 100.0, 301.0]))

    def the_supervisor_was_suspended(self) -> None:
        """It has missed every deadline on the way."""
        self.system.now += self.dice.choice([1.0, 15.0, 3600.0])
        self.system.tick()

    def is_found_stuck(self) -> None:
        if (process := self.one(Stage.SERVING)) is not None:
            self.note(process)
            self.pool.processes.kill(process, "stuck: for 60 s")

    def random_is_random(self) -> None:
        self.system.random = self.dice.random()
        self.system.orphans = self.dice.random() < 0.5

    def several_at_once(self) -> None:
        """Messages, signals and deaths in one step of the supervisor, which ticks the pool at its end."""
        with self.system.one_step():
            for _ in range(self.dice.randint(2, 6)):
                if self.pool.exit_code is None:
                    self.happens(WITHIN_A_STEP)

    # What must hold

    def check(self) -> None:
        for slot in self.pool.slots:
            assert not self.is_lost(slot), f"slot {slot.number} is lost"
            if slot.failed:
                assert slot.worker is None
                assert not slot.waits_for
            if not self.settings["overlap"]:
                assert len(slot.processes) <= 1, "two lifespans in one slot"
        if self.pool.generations.closed:
            assert not any(slot.waits_for or slot.retry_at is not None for slot in self.pool.slots)
        by_itself = [slot for slot in self.pool.slots if slot.replacing != ASKED]
        assert sum(slot.incoming is not None for slot in by_itself) <= 1, "one slot after the other"
        assert sum(bool(slot.replacing) for slot in by_itself) <= 1, "one recycled after the other"
        self.check_replacements()
        self.check_turns()
        assert self.pool.generations.forking == bool(self.system.forks)
        self.check_places()
        self.check_records()
        self.check_numbers()
        self.check_budget()

    def is_lost(self, slot: Slot) -> bool:
        """No worker, none on its way, no time to try again, and it hasn't been given up."""
        if self.pool.generations.closed:
            return False
        if slot.waits_for:
            return slot.waits_for not in [g.number for g in self.pool.generations.all]
        if slot.failed or slot.worker or slot.incoming:
            return False
        if slot.retry_at is not None:
            return slot.retry_at > self.system.now + 60.0
        return bool(self.settings["overlap"]) or not slot.retiring

    def check_replacements(self) -> None:
        for slot in self.pool.slots:
            if slot.replacing:
                assert slot.worker is not None
                assert slot.waits_for or slot.incoming is not None, f"slot {slot.number} is replaced by nobody"
                assert slot.replace_by is not None
                assert not self.pool.generations.reloading, "the reload replaces it"
            else:
                assert slot.replace_by is None
            reloading = self.pool.generations.reloading or self.pool.stopping
            if slot.worker is not None and slot.waits_for and not reloading:
                assert slot.replacing, "a slot that has a worker waits for nothing"

    def check_turns(self) -> None:
        """At most one worker that serves has a turn, or waits for one."""
        last = {process: m for process, m in self.system.told if isinstance(m, TurnRequest)}
        asked = [p for p, request in last.items() if request.places and p.stage is Stage.SERVING and p in self.in_slots]
        assert len(asked) <= min(1, self.settings["take_turns"]), "one worker makes way after the other"

    @property
    def in_slots(self) -> list[Process]:
        return [slot.worker for slot in self.pool.slots if slot.worker is not None]

    def check_places(self) -> None:
        """Each process is in exactly one place, or it is on its way out."""
        places: list[Process] = [p for slot in self.pool.slots for p in slot.processes]
        for generation in self.pool.generations.all:
            places += [*generation.candidates, *generation.template.processes]
        assert len(places) == len(set(places)), "a process is in two places"
        living = self.pool.processes.living
        assert set(living.values()) == set(self.system.alive.values())
        for process in places:
            assert living.get(process.pid) is process or (process.stage is Stage.FORKING and not process.pid)
        for process in set(living.values()) - set(places):
            assert process in self.system.killed or process.kill_at is not None, f"{process.who} is left to itself"
        for process in self.system.forks:
            assert process in places, "a fork has a socket and no place"

    def check_records(self) -> None:
        held = sorted(p.record for p in self.pool.processes.living.values() if p.slot is not None)
        assert held == sorted(self.system.records.rows), "each record has one holder"

    def check_numbers(self) -> None:
        """Each death and each request is counted once."""
        slots = [*self.pool.slots, *self.removed]
        if not self.pool.generations.closed:
            died = sum(line.startswith("error died: ") for line in self.system.log.lines)
            assert died == sum(slot.restarts for slot in slots) == sum(sum(slot.reasons.values()) for slot in slots)
        for slot in slots:
            living = sum(self.system.records.word(p.record, REQUESTS) for p in slot.processes)
            assert slot.totals[REQUESTS] + living == self.system.served.get(slot, 0)

    def check_budget(self) -> None:
        limit, window = self.budget
        for slot in self.pool.slots:
            recent = [death for death in slot.deaths if self.system.now - death < window]
            if limit and len(recent) > limit and not slot.failed:
                assert slot.worker or slot.incoming or slot.waits_for, "a slot over its budget waits to try again"


HOSTILE: list[Message | Malformed] = [
    *(
        Imported(),
        Hello(),
        Armed(),
        Ready(),
        Lame(),
        Signalled(),
        Malformed("no such message", "{}"),
        Drain(1.0, 0.0),
        Fork(True, True),
    ),
    *(Loaded(True, ""), Loaded(False, ""), Unforkable("x"), Refused("x"), Unpinned(""), Readiness(False, "\x1b[2J")),
    *(Failed("exception", "", ""), Failed("missing", "", "x"), Load("", {}, "", False), Activate(0, 1, None, 0, 0, 1)),
    *(TurnAnswer(1, ""), TurnAnswer(-1, "x"), TurnRequest(1, 1)),
]
WITHIN_A_STEP: list[tuple[Callable[[Chaos], None], int]] = [
    (Chaos.goes_well, 50),
    (Chaos.runs_without_being_ready, 4),
    (Chaos.dies, 8),
    (Chaos.fails, 2),
    (Chaos.dies_with_its_boot_still_unread, 1),
    (Chaos.loses_its_socket, 1),
    (Chaos.fork_is_refused, 1),
    (Chaos.template_is_unforkable, 1),
    (Chaos.says_what_it_should_not, 2),
    (Chaos.is_signalled, 3),
    (Chaos.system_refuses, 2),
    (Chaos.code_changes, 2),
    (Chaos.reload, 3),
    (Chaos.restart, 2),
    (Chaos.recycle, 4),
    (Chaos.turn_comes, 6),
    (Chaos.turn_is_refused, 1),
    (Chaos.slot_more, 1),
    (Chaos.slot_less, 1),
    (Chaos.cores_change, 1),
    (Chaos.is_found_stuck, 1),
    (Chaos.random_is_random, 1),
]
BETWEEN_STEPS: list[tuple[Callable[[Chaos], None], int]] = [
    (Chaos.a_moment_passes, 10),
    (Chaos.time_passes, 2),
    (Chaos.the_supervisor_was_suspended, 1),
    (Chaos.several_at_once, 10),
]


@pytest.mark.parametrize("part", range(PARTS))
def test_no_slot_is_lost_and_everything_settles(part: int) -> None:
    for seed in range(part * RUNS, (part + 1) * RUNS):
        chaos = Chaos(seed)
        with told(chaos):
            chaos.run()
            settles(chaos)


@contextmanager
def told(chaos: Chaos) -> Iterator[None]:
    """A failure names the run, and its last events."""
    try:
        yield
    except AssertionError as error:
        last = "\n".join(chaos.trace[-25:])
        raise AssertionError(f"seed {chaos.seed}, {chaos.settings}: {error}\n{last}") from error


def settles(chaos: Chaos) -> None:
    """Once nothing goes wrong any more, every slot that wasn't given up has a worker, and a standby stands by."""
    pool, system = chaos.pool, chaos.system
    if pool.exit_code is not None:
        stops(chaos)
        return
    system.refuses, chaos.broken, system.grants_turns = False, set(), True
    system.settle()
    if pool.exit_code is not None:  # what had gone wrong before was the last straw
        stops(chaos)
        return
    chaos.check()
    for slot in pool.slots:
        assert slot.failed or (slot.worker is not None and slot.worker.stage is Stage.SERVING)
        assert slot.worker is None or slot.worker.signalled_at is None, "a signal is forgotten"
        assert not slot.retiring
        assert not slot.replacing
        assert slot.incoming is None
    assert not pool.generations.reloading
    current = pool.generations.current
    wanted = chaos.settings["standbys"] if chaos.settings["standby"] != "none" else 0
    assert len(current.standbys) == len(current.candidates) == wanted
    live = chaos.settings["standby"] == "live" and not current.backoff.no_live
    assert all(standby.live == live for standby in current.standbys)
    assert len(system.alive) == len(pool.workers) + len(current.candidates) + len(current.template.processes)


def stops(chaos: Chaos) -> None:
    """Every process that is told to end has ended, or is killed in time."""
    system = chaos.system
    end = system.now + BOUND
    while system.alive and system.now < end:
        system.wait(1.0)
        system.reap()
    chaos.check()
    assert not system.alive
    assert not system.forks
    assert chaos.pool.deadline() is None


@pytest.mark.parametrize("how", ["drain", "at once", "lame, then drain", "lame, then at once", "drain, then at once"])
def test_every_stop_ends_whenever_it_comes(how: str) -> None:
    for seed in range(RUNS):
        chaos = Chaos(seed)
        with told(chaos):
            chaos.run(chaos.dice.randrange(EVENTS // 4))
            if chaos.pool.exit_code is None:
                stop(chaos, how)
            stops(chaos)
            assert chaos.pool.stopping


def stop(chaos: Chaos, how: str) -> None:
    pool, system = chaos.pool, chaos.system
    if how.startswith("lame"):
        pool.lame(system.now)
        system.tick()
        chaos.run(20)
    if how != "at once":
        pool.drain(10.0, system.now)
        system.tick()
        chaos.run(chaos.dice.randrange(20))
    if how.endswith("at once"):
        pool.stop_now(0, system.now)
        system.tick()
