"""Processes and slots: their data, and every change of it. No other module writes a field of these."""

from __future__ import annotations

from collections import deque
from enum import Enum

from corepod.contract.scoreboard import WORDS, add_counters
from corepod.supervisor.pool.backoff import FailureStreak

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.contract.messages import Failed
    from corepod.supervisor.pool.exits import ExitReport


ASKED = "asked"  # the reason of a replacement that somebody has asked for
EXITS_KEPT = 5  # of each slot; there may be 512 slots
EXIT_LONGEST = 300  # characters of what is kept about one


class Stage(Enum):
    """How far a process has come."""

    LOADING = "loading"  # executed; imports what is to be shared and warms the server
    TEMPLATE = "template"  # loaded; forks on request
    FORKING = "forking"  # asked of the template; its pid isn't known yet
    IMPORTING = "importing"  # forked from a template that has only the libraries; imports the application
    ARMING = "arming"  # has the application; warms its server
    ARMED = "armed"  # the standby: waits for a slot
    STARTING = "starting"  # has its slot; runs the application's lifespan
    SERVING = "serving"
    DRAINING = "draining"


class Process:
    """One process of the pool, from its spawn or fork until it is reaped. `pid` is 0 until it is known."""

    def __init__(
        self,
        stage: Stage,
        generation: int,
        now: float,
        *,
        live: bool = False,
        parent: Process | None = None,
        templates: bool = False,
    ) -> None:
        self.stage = stage
        self.since = now  # when it entered its stage
        self.generation = generation
        self.live = live  # the application's lifespan runs before it has a slot
        self.parent = parent  # the template that was asked to fork it
        self.templates = templates  # a bootstrap process that becomes the template if it may be forked
        self.row = 0  # see backoff.Backoff.row
        self.pid = 0
        self.slot: Slot | None = None
        self.number = 0
        self.record = -1
        self.started_at = 0.0  # wall clock, for people
        self.ready_at: float | None = None
        self.willing = True  # what the application itself says about its readiness
        self.unwilling_why = ""
        self.cpu_seen = 0.0  # CPU seconds at the last look: a dead process can't be asked
        self.kill_at: float | None = None
        self.cause = ""  # why the supervisor killed it
        self.signalled_at: float | None = None  # somebody has told it to stop then; None once that has been acted on
        self.failure: Failed | None = None  # what it said of its failed boot

    @property
    def who(self) -> dict[str, Any]:
        """Names it in the log."""
        if self.slot is not None:
            return {"worker": self.number, "slot": self.slot.number, "core": self.slot.core, "pid": self.pid}
        name = {Stage.LOADING: "bootstrap", Stage.TEMPLATE: "template", Stage.FORKING: "forking"}
        return {"process": name.get(self.stage, "standby"), "pid": self.pid or None}

    def enter(self, stage: Stage, now: float) -> None:
        """Go on to the next stage."""
        self.stage, self.since = stage, now

    def has_pid(self, pid: int) -> None:
        self.pid = pid

    def belongs_to(self, row: int) -> None:
        """It has been made, or has come further, since failure number `row` was counted."""
        self.row = row

    def begin_anew(self, now: float) -> None:
        """Its stage counts from now: what was before may have been no time of its own."""
        self.since = now

    def take_place(self, slot: Slot, number: int, record: int, wall: float, now: float) -> None:
        """Become the worker of a slot, beside its present one if it has one."""
        self.slot, self.number, self.record, self.started_at = slot, number, record, wall
        slot.stop_waiting()
        self.enter(Stage.STARTING, now)
        if slot.worker is None:
            slot.worker = self
        else:
            slot.incoming = self

    def serve(self, wall: float, now: float) -> None:
        """The application's lifespan has started, and connections are accepted."""
        self.enter(Stage.SERVING, now)
        self.ready_at = wall
        assert self.slot is not None
        self.slot.boot_failures = 0

    def served(self, now: float) -> float:
        """Seconds for which it has been ready."""
        return now - self.since if self.ready_at is not None else 0.0

    def drain(self, within: float, now: float) -> None:
        """Finish what it serves; it is killed after `within` seconds."""
        self.enter(Stage.DRAINING, now)
        self.kill_at = now + within
        if self.slot is not None:
            self.slot.set_aside(self)

    def expect_end(self, by: float) -> None:
        """It ends by itself, or has no control socket any more and can't be told to: it is killed then."""
        self.kill_at = min(self.kill_at or by, by)

    def killed(self, cause: str) -> None:
        """It has been sent SIGKILL; `cause` explains the exit that will be seen."""
        self.kill_at, self.cause = None, self.cause or cause

    def says(self, willing: bool, why: str) -> None:
        """The application's own word on its readiness."""
        self.willing, self.unwilling_why = willing, why

    def signalled(self, now: float) -> None:
        """Somebody has sent it a signal to stop. The first one counts."""
        if self.signalled_at is None:
            self.signalled_at = now

    def obeys(self) -> None:
        """What follows from the signal is under way."""
        self.signalled_at = None

    def failed(self, failure: Failed) -> None:
        self.failure = failure

    def used_cpu(self, seconds: float) -> None:
        self.cpu_seen = seconds


class Slot:
    """A worker's place: number, core, the worker in it, and what is kept of those before."""

    def __init__(self, number: int, core: int | None) -> None:
        self.number, self.core = number, core
        self.unpinned = ""  # why its workers can't be pinned to the core
        self.worker: Process | None = None
        self.incoming: Process | None = None  # beside a worker, which it replaces in a reload
        self.retiring: list[Process] = []
        self.waits_for = 0  # the generation that it waits for to get a worker, 0 for none
        self.waits_since = 0.0
        self.retry_at: float | None = None  # it waits for a worker again then
        self.failed = ""  # why it was given up
        self.restarts = 0
        self.reasons: dict[str, int] = {}
        self.deaths: deque[float] = deque()
        self.streak = FailureStreak()  # deaths, where there is no crash budget
        self.boot_failures = 0
        self.last_exit: str | None = None
        self.exits: deque[dict[str, Any]] = deque(maxlen=EXITS_KEPT)  # the latest, for people
        self.totals = [0] * WORDS
        self.lost = 0  # requests that were in flight on workers that died
        self.unheard = 0  # messages that a dead worker had taken from the inbox; the next one is told
        self.cpu_before = 0.0  # CPU seconds of dead workers
        self.replacing = ""  # why its worker is to be replaced by a new one, a word; empty where it isn't
        self.replace_by: float | None = None  # the new one has to be ready by then
        self.replaced: dict[str, int] = {}  # how often, by that word
        self.replace_failures = 0  # new ones that didn't get ready, in a row
        self.replace_failed_at = 0.0

    @property
    def processes(self) -> list[Process]:
        return [p for p in (self.worker, self.incoming, *self.retiring) if p is not None]

    @property
    def idle(self) -> bool:
        """Whether it has no worker, none on its way, and no reason not to get one now."""
        coming = self.worker or self.waits_for or self.retry_at is not None
        return not coming and not self.failed

    # Waiting for a worker

    def wait(self, generation: int, now: float) -> None:
        """Get the next worker of this generation. Its turn counts from when it began to wait, for whichever one."""
        if not self.waits_for:
            self.waits_since = now
        self.waits_for, self.retry_at = generation, None

    def stop_waiting(self) -> None:
        self.waits_for = 0

    def pause(self, until: float) -> None:
        self.retry_at = until

    def resume(self) -> None:
        self.retry_at = None

    # Replacing its worker, which serves until the new one is ready

    def begin_replacement(self, reason: str, by: float) -> None:
        self.replacing, self.replace_by = reason, by

    def end_replacement(self) -> None:
        """It is over, or has become another thing: the worker has died, or a reload replaces it."""
        self.replacing, self.replace_by = "", None

    def replaced_for(self, reason: str) -> None:
        """A new worker has taken over, or is about to."""
        self.replaced[reason] = self.replaced.get(reason, 0) + 1
        self.replace_failures = 0

    def replacement_failed(self, now: float) -> None:
        """The present worker stays."""
        self.replace_failures += 1
        self.replace_failed_at = now
        self.end_replacement()

    @property
    def changing(self) -> bool:
        """Whether a new worker is on its way."""
        starts = self.worker is not None and self.worker.stage is Stage.STARTING
        return bool(self.waits_for) or self.incoming is not None or starts

    @property
    def being_replaced(self) -> bool:
        """Whether one is on its way while the present one is there."""
        return self.incoming is not None or (self.worker is not None and bool(self.waits_for))

    # Who is in it

    def hand_over(self) -> Process | None:
        """The incoming worker takes over. Returns the one it replaces."""
        old, self.worker, self.incoming = self.worker, self.incoming, None
        return old

    def set_aside(self, process: Process) -> None:
        """A worker of it drains."""
        if process not in self.retiring:
            self.retiring.append(process)
        self._vacate(process)

    def forget(self, process: Process, words: list[int], lost: int, unheard: int) -> None:
        """A worker of it is dead: keep its numbers and free its place."""
        add_counters(self.totals, words)
        self.lost += lost
        self.cpu_before += process.cpu_seen
        if process.stage is not Stage.DRAINING:
            self.unheard += unheard
        if process in self.retiring:
            self.retiring.remove(process)
        self._vacate(process)

    def confess(self) -> int:
        """How many messages have been lost with workers since the last time that one was told."""
        lost, self.unheard = self.unheard, 0
        return lost

    def _vacate(self, process: Process) -> None:
        if process is self.incoming:
            self.incoming = None
        elif process is self.worker:
            # A new worker that was about to take over does so now, ready or not.
            self.worker, self.incoming = self.incoming, None

    # What went wrong

    def count_death(self, report: ExitReport, lived: float, now: float, window: float) -> None:
        """A worker died that had been ready for `lived` seconds. Deaths are remembered for `window` seconds."""
        self.restarts += 1
        self.reasons[report.reason] = self.reasons.get(report.reason, 0) + 1
        self.streak.add(lived)
        self.deaths.append(now)
        while self.deaths and now - self.deaths[0] >= window:
            self.deaths.popleft()

    def count_boot_failure(self) -> None:
        self.boot_failures += 1
        self.streak.add()

    def remember_exit(self, process: Process, report: ExitReport, wall: float) -> None:
        """A worker of it has ended. `asked`: it drained, because it was replaced or its slot was removed."""
        failure = process.failure.message.partition("\n")[0] if process.failure else ""
        self.exits.append(
            {
                "time": wall,
                "worker": process.number,
                "pid": process.pid,
                "asked": process.stage is Stage.DRAINING,
                "how": (f"{report.text}: {failure}" if failure else report.text)[:EXIT_LONGEST],
                "lost": report.lost,
            }
        )

    def ended(self, description: str) -> None:
        """How its last worker ended, for people."""
        self.last_exit = description

    def give_up(self, why: str) -> None:
        self.failed = why

    def forgive(self) -> None:
        """Forget the deaths that count against it, and that it was given up."""
        self.failed, self.boot_failures = "", 0
        self.deaths.clear()
        self.streak.end()

    def move(self, core: int | None) -> None:
        """It has another core from now on. Whoever is in it has to be told, or moved."""
        self.core, self.unpinned = core, ""

    def not_pinned(self, why: str) -> None:
        self.unpinned = why
