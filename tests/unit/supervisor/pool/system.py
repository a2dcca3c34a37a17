"""A simulated operating system under a real pool: processes that are forked, say hello, get ready, fail and die when
the test says so, and a clock that the test moves. Nothing sleeps, and nothing happens by itself.
"""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corepod.contract.messages import (
    Armed,
    Failed,
    Hello,
    Imported,
    Loaded,
    Malformed,
    Ready,
    TurnAnswer,
    TurnRequest,
)
from corepod.contract.scoreboard import OWED, REQUESTS, TICK, WORDS
from corepod.supervisor.pool.exits import Exit
from corepod.supervisor.pool.pool import Pool
from corepod.supervisor.pool.state import Process, Slot, Stage
from corepod.supervisor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.contract.messages import InboxRequest, Load, Message
    from corepod.supervisor.pool.observer import Observer

SIGKILL = Exit(0, signal.SIGKILL, dumped=False, oom=False)
EXITED = Exit(0, 0, dumped=False, oom=False)
FAILED_BOOT = Exit(3, 0, dumped=False, oom=False)

MOVING = (Stage.LOADING, Stage.FORKING, Stage.IMPORTING, Stage.ARMING, Stage.STARTING)  # stages that don't last

DEFAULTS: dict[str, Any] = {
    "app": "shop:app",
    "workers": 1,
    "preload": "application",
    "env_file": "",
    "debug": False,
    "standby": "armed",
    "standbys": 1,
    "live_max_age": 0.0,
    "crash_budget": (5, 60.0),
    "take_turns": 0,
    "overlap": True,
    "exit_code": "own",
    "stop_timeout": 30.0,
    "keep_alive": 5.0,
}


class Journal:
    """The log: what was said, newest last."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def info(self, message: str, event: str = "", **who: object) -> None:
        self.lines.append(f"info {message}")

    def warning(self, message: str, event: str = "", **who: object) -> None:
        self.lines.append(f"warning {message}")

    def error(self, message: str, event: str = "", **who: object) -> None:
        self.lines.append(f"error {message}")

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)


class Records:
    """The scoreboard; each record has one holder at the most."""

    def __init__(self, count: int) -> None:
        self.rows: dict[int, list[int]] = {}
        self._unused = list(range(count))

    @property
    def free(self) -> int:
        return len(self._unused)

    def acquire(self) -> int:
        record = self._unused.pop()
        self.rows[record] = [0] * WORDS
        return record

    def release(self, record: int) -> None:
        del self.rows[record]
        assert record not in self._unused
        self._unused.append(record)

    def word(self, record: int, index: int) -> int:
        return self.rows[record][index]

    def words(self, record: int) -> list[int]:
        return list(self.rows[record])

    def serving(self, record: int) -> list[tuple[float, str]]:
        return []


class System:
    """Launcher of the pool and owner of its processes. `now` moves with `wait` only."""

    def __init__(
        self,
        cores: int = 1,
        *,
        forkable: bool = True,
        records: int = 64,
        usable: int = 64,
        observer: Observer | None = None,
        **settings: Any,
    ) -> None:
        self.now, self.random = 1000.0, 0.5
        self.log, self.records = Journal(), Records(records)
        self.refuses = False  # the system has no room for another process
        self.refusal = OSError(11, "Resource temporarily unavailable")
        self.orphans = False  # forks that haven't said hello outlive their template
        self.alive: dict[int, Process] = {}  # by pid, dead ones until they are reaped
        self.unknown: set[int] = set()  # children that haven't said hello; what becomes of them is nobody's concern
        self.forks: list[Process] = []  # asked of a template, without a pid yet
        self.dying: dict[int, Exit] = {}  # dead, not reaped
        self.open: set[Process] = set()  # those with a control socket
        self.closed: set[Process] = set()
        self.killed: set[Process] = set()
        self.warm: set[Process] = set()  # forks that were told to warm up
        self.loads: dict[Process, Load] = {}  # what bootstrap processes were told
        self.told: list[tuple[Process, Message]] = []
        self.dumped: list[Process] = []
        self.answered: list[tuple[Process, InboxRequest, int]] = []
        self.turn: tuple[Process, TurnRequest] | None = None  # that a worker was asked to take, until it has answered
        self.grants_turns = False  # whoever asks for one has it, where all goes well
        self.served: dict[Slot, int] = {}  # requests, by slot
        self._last_pid = 100
        self._in_step = False
        self.pool = Pool(
            Settings({**DEFAULTS, **settings, "values": {}}),
            self,
            self.records,
            self.log,
            list(range(cores)),
            forkable=forkable,
            usable=usable,
            wall=lambda: self.now + 1e9,
            random=lambda: self.random,
            observer=observer,
        )
        self.pool.tick(self.now)

    # The launcher

    def spawn(self, process: Process, load: Load) -> int:
        self._may_refuse()
        self.open.add(process)
        self.loads[process] = load
        return self._born(process)

    def fork(self, template: Process, process: Process, *, warm: bool) -> None:
        self._may_refuse()
        assert template.stage is Stage.TEMPLATE
        self.open.add(process)
        self.forks.append(process)
        if warm:
            self.warm.add(process)

    def adopt(self, process: Process, pid: int) -> bool:
        if pid not in self.unknown:
            return False
        self.unknown.remove(pid)
        self.alive[pid] = process
        if process in self.forks:
            self.forks.remove(process)
        return True

    def send(self, process: Process, message: Message) -> None:
        self.told.append((process, message))
        if isinstance(message, TurnRequest):
            self.turn = (process, message) if message.places else None

    def kill(self, process: Process) -> None:
        assert process.pid, "none to kill it by"
        self.killed.add(process)
        if process.pid in self.alive:
            self.dying.setdefault(process.pid, SIGKILL)

    def dump_stacks(self, process: Process) -> None:
        self.dumped.append(process)

    def kept_stacks(self, process: Process) -> str | None:
        return None

    def answer(self, process: Process, request: InboxRequest, slots: int, lost: int) -> None:
        self.answered.append((process, request, lost))

    def remove_inbox(self, slot: int) -> bool:
        return False

    def close(self, process: Process) -> None:
        self.open.discard(process)
        self.closed.add(process)
        if process in self.forks:
            self.forks.remove(process)  # it finds its socket closed and ends; no pid was ever known

    def _may_refuse(self) -> None:
        if self.refuses:
            raise self.refusal

    def _born(self, process: Process) -> int:
        self._last_pid += 1
        self.alive[self._last_pid] = process
        return self._last_pid

    def child(self) -> int:
        """The pid of a new child of the supervisor."""
        self._last_pid += 1
        self.unknown.add(self._last_pid)
        return self._last_pid

    # What the test lets happen; the pool is ticked after each

    def tick(self) -> None:
        """As the supervisor's loop does it, which comes back at once as long as something is due."""
        for _ in range(0 if self._in_step else 3):
            self.pool.tick(self.now)
            due = self.pool.deadline()
            if due is None or due > self.now:
                break
        else:
            assert self._in_step, "something is due again and again: the supervisor would spin"

    @contextmanager
    def one_step(self) -> Iterator[None]:
        """All of this happens in one turn of the supervisor's loop, which ticks the pool once, at its end."""
        self._in_step = True
        yield
        self._in_step = False
        self.tick()

    def wait(self, seconds: float) -> None:
        """Let time pass, with a tick at each deadline on the way."""
        end = self.now + seconds
        self.tick()
        self.reap()
        for _ in range(1000):
            due = self.pool.deadline()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self.tick()
            self.reap()
        self.now, done = max(self.now, end), self._done()
        self.tick()
        assert done == self._done(), "it was time for something, and no deadline had said so"

    def _done(self) -> tuple[int, ...]:
        """Grows with everything that the pool does."""
        return self._last_pid, len(self.forks), len(self.told), len(self.killed), len(self.log.lines)

    def says(self, process: Process, message: Message | Malformed, sender: int | None = None) -> None:
        """A message arrives, if there is a socket for it; its writer is the process itself where no other is named."""
        if process in self.open:
            self.pool.on_message(process, message, process.pid if sender is None else sender, self.now)
        self.tick()

    def answers_turn(self, why: str = "") -> None:
        """The worker that was asked to take a turn has it, or can't get one."""
        if self.turn is not None:
            (process, request), self.turn = self.turn, None
            self.says(process, TurnAnswer(request.number, why))

    def hello(self, process: Process) -> None:
        """A fork comes to life."""
        self.says(process, Hello(), self.child())

    def loses(self, process: Process) -> None:
        """The control socket is closed at the process's end."""
        if process in self.open:
            self.open.remove(process)
            if process in self.forks:
                self.forks.remove(process)
            self.pool.on_eof(process, self.now)
        self.tick()

    def runs(self, process: Process) -> None:
        """A worker's loop turns for the first time."""
        self.records.rows[process.record][TICK] = 1
        self.records.rows[process.record][REQUESTS] += 1
        self.records.rows[process.record][OWED] = 1
        assert process.slot is not None
        self.served[process.slot] = self.served.get(process.slot, 0) + 1

    def ready(self, process: Process) -> None:
        self.runs(process)
        self.says(process, Ready())

    def dies(self, process: Process, end: Exit = SIGKILL) -> None:
        """It is dead and reaped at once."""
        self.dying.setdefault(process.pid, end)
        self.reap()

    def fails(self, process: Process, kind: str = "exception") -> None:
        """It reports that the application can't be started, and exits."""
        if process.record >= 0:
            self.runs(process)
        self.says(process, Failed(kind, "no database", "Traceback"))
        self.dies(process, FAILED_BOOT)

    def reap(self) -> None:
        """All that are dead are reaped, and so are those that the pool kills because of it."""
        while self.dying:
            pid, end = self.dying.popitem()
            process = self.alive.pop(pid)
            while process.stage is Stage.TEMPLATE and not self.orphans and (forks := self._forks_of(process)):
                self.loses(forks[0])
            if process in self.open:
                self.open.remove(process)
                self.pool.on_eof(process, self.now)
            self.pool.on_exit(pid, end, self.now)
            assert process in self.closed, "its control socket stays open"
            self.tick()

    def _forks_of(self, template: Process) -> list[Process]:
        return [fork for fork in self.forks if fork.generation == template.generation]

    # What is there

    def at(self, stage: Stage) -> list[Process]:
        """Living processes at this stage, the oldest first."""
        return [p for p in [*self.alive.values(), *self.forks] if p.stage is stage]

    def slot(self, number: int = 0) -> Slot:
        return next(slot for slot in self.pool.slots if slot.number == number)

    def worker(self, number: int = 0) -> Process:
        worker = self.slot(number).worker
        assert worker is not None
        return worker

    def was_told(self, process: Process, kind: type[Message]) -> bool:
        return any(p is process and isinstance(m, kind) for p, m in self.told)

    # A system in which all goes well

    def advance(self, process: Process, *, forkable: bool = True) -> None:
        """The next thing that a healthy process does."""
        if process.failure is not None:
            self.dies(process, FAILED_BOOT)
        elif process.stage is Stage.LOADING:
            self.says(process, Loaded(forkable, "" if forkable else "2 threads"))
        elif process.stage is Stage.FORKING:
            self.hello(process)
        elif process.stage is Stage.IMPORTING:
            self.says(process, Imported())
        elif process.stage is Stage.ARMING:
            self.says(process, Armed())
        elif process.stage is Stage.STARTING:
            self.ready(process)
        elif process.stage is Stage.DRAINING:
            self.dies(process, EXITED)

    def goes_on(self, *, but: Process | None = None) -> None:
        """A healthy process does its next thing (not this one); where none has anything to do, a moment passes."""
        self.reap()
        moving = [p for stage in MOVING for p in self.at(stage) if p is not but]
        if moving:
            self.advance(moving[0])
        else:
            self.wait(0.1)

    def until(self, stage: Stage) -> Process:
        """Let everything go well until a process is at this stage, and return it."""
        for _ in range(200):
            if found := self.at(stage):
                return found[0]
            self.goes_on()
        raise AssertionError(f"none gets to {stage}")

    def settle(self, *, forkable: bool = True, quiet: float = 200.0) -> None:
        """Let everything go well until nothing moves any more, for as long as the longest pause."""
        self.tick()
        for _ in range(2000):
            self.reap()
            moving = [p for s in Stage if s not in (Stage.TEMPLATE, Stage.ARMED, Stage.SERVING) for p in self.at(s)]
            moving = [p for p in moving if p in self.open or p.stage is Stage.DRAINING]
            if moving:
                self.advance(moving[0], forkable=forkable)
                continue
            if self.grants_turns and self.turn is not None:
                self.answers_turn()
                continue
            due = self.pool.deadline()
            if due is None or due > self.now + quiet:
                return
            self.now = max(self.now, due)
            self.tick()
        raise AssertionError("it doesn't settle")


def running(cores: int = 1, **settings: Any) -> System:
    """A pool whose workers serve and whose standby stands by."""
    system = System(cores, **settings)
    system.settle()
    return system


def messages(system: System, process: Process) -> list[str]:
    return [repr(message) for told, message in system.told if told is process]
