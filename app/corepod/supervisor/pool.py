"""The pool: slots and the crew that fills them. Everything that happens to a process ends up here."""

from __future__ import annotations

import time

from corepod.contract.exits import EXIT_BUDGET, EXIT_OK
from corepod.contract.messages import Activate, Drain, Failed, Hello, Lame, Readiness, Ready, Unpinned
from corepod.supervisor.board import Board
from corepod.supervisor.crew import Crew
from corepod.supervisor.deaths import Deaths
from corepod.supervisor.proc import Cgroup
from corepod.supervisor.process import Channels, Process, Stage
from corepod.supervisor.reload import Reload
from corepod.supervisor.slot import Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from corepod.contract.messages import Message
    from corepod.supervisor.log import Log
    from corepod.supervisor.loop import Loop
    from corepod.supervisor.settings import Settings

ORPHANED_CONTROL = 1.0  # seconds a process may live without its control socket: nothing could tell it to stop
LATE = "it didn't stop in time"
SILENT = "control closed: the application closes descriptors that aren't its own"


class Pool:
    """Owns slots, crew and scoreboard. `exit_code` is set once there is nothing more to do but leave."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        log: Log,
        listeners: list[socket.socket],
        cores: list[int | None],
        *,
        forkable: bool,
    ) -> None:
        self.settings, self.loop, self.log = settings, loop, log
        self.board = Board()
        self.cgroup = Cgroup()
        self.listeners = listeners
        self.channels = Channels(loop, log, settings, self._on_message)
        self.forkable = forkable
        self.living: dict[int, Process] = {}  # every process that is ours and not reaped, by pid
        self.slots = [Slot(number, core) for number, core in enumerate(cores)]
        self.crew = self.new_crew(1)
        self.reload = Reload(self)
        self.workers_started = 0
        self.ever_ready = False
        self.stopping = False
        self.exit_code: int | None = None
        self._deaths = Deaths(self)
        for slot in self.slots:
            self.crew.want(slot)

    def new_crew(self, generation: int) -> Crew:
        return Crew(generation, self)

    # Time

    def deadline(self) -> float | None:
        """When `tick` has something to do by itself."""
        times = [t for crew in self._crews() if (t := crew.deadline()) is not None]
        times += [p.kill_at for p in self.living.values() if p.kill_at is not None]
        times += [slot.retry_at for slot in self.slots if slot.retry_at is not None]
        if (again := self.reload.deadline()) is not None:
            times.append(again)
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Do what is due, and bring the crews to their strength."""
        for process in self.living.values():
            if process.kill_at is not None and now >= process.kill_at:
                process.kill_at = None
                process.end(LATE if process.stage is Stage.DRAINING else SILENT)
        for slot in self.slots:
            if slot.retry_at is not None and now >= slot.retry_at:
                self.crew.want(slot)
        self.reload.step(now)
        for crew in self._crews():
            crew.expire(now)
            crew.fill(now)

    def _crews(self) -> list[Crew]:
        return [crew for crew in (self.crew, self.reload.crew) if crew is not None]

    def crew_of(self, process: Process) -> Crew | None:
        """The crew of the process's generation, if it is still there."""
        return next((c for c in self._crews() if c.generation == process.generation), None)

    # Workers

    def activate(self, process: Process, slot: Slot) -> None:
        """Make an armed process the worker of `slot` (beside the old one in a reload)."""
        self.workers_started += 1
        process.slot, process.number = slot, self.workers_started
        process.record = self.board.take()
        process.started_at = time.time()
        process.enter(Stage.STARTING, self.loop.now())
        process.rename({"worker": process.number, "slot": slot.number, "core": slot.core, "pid": process.pid})
        if slot.worker is None:
            slot.worker = process
        else:
            slot.incoming = process
        process.send(Activate(slot.number, process.number, slot.core, slot.restarts, process.record, len(self.slots)))

    def retire(self, process: Process, within: float, linger: float) -> None:
        """Let a worker finish what it serves, for `within` seconds; idle connections may stay for `linger` of them."""
        now = self.loop.now()
        slot = process.slot
        if slot is not None and process not in slot.retiring:
            slot.retiring.append(process)
            if process is slot.worker:
                slot.worker = None
            else:
                slot.incoming = None
        process.enter(Stage.DRAINING, now)
        process.kill_at = now + within
        process.send(Drain(within, min(linger, within)))

    def add_slot(self, core: int | None) -> None:
        slot = Slot(max((s.number for s in self.slots), default=-1) + 1, core)
        self.slots.append(slot)
        self.crew.want(slot)

    def remove_slot(self) -> None:
        """One slot less: the last one's worker drains, and its numbers go with it."""
        slot = self.slots.pop()
        slot.retry_at = None
        for crew in self._crews():
            crew.forget(slot)
        for process in slot.processes:
            if process.stage is not Stage.DRAINING:
                self.retire(process, self.settings.stop_timeout, self.settings.keep_alive)
        self.check_failed(EXIT_BUDGET)

    def check_failed(self, code: int) -> None:
        """Leave with `code` if every slot has been given up; where a stop was asked for, that is what it is."""
        if all(slot.failed for slot in self.slots):
            self.finish(EXIT_OK if self.stopping else code, "every slot is given up: the pool ends")

    def drain(self, within: float) -> None:
        """The end of every process, in order and within this time. Nothing starts from now on."""
        for crew in self._crews():
            crew.close(within)
        for slot in self.slots:
            slot.retry_at = None
            for process in slot.processes:
                if process.stage is not Stage.DRAINING:
                    self.retire(process, within, linger=0.0)

    def finish(self, code: int, message: str = "") -> None:
        """Leave as soon as possible with this exit code: end every process."""
        if message:
            self.log.error(message)
        self.stopping = True
        self.exit_code = code if self.exit_code is None else self.exit_code
        for crew in self._crews():
            crew.close()
        for process in self.living.values():
            process.end("the pool stops at once")

    # What the processes say

    def _on_message(self, process: Process, message: Message | None) -> None:
        now = self.loop.now()
        crew = self.crew_of(process)
        if message is None:
            self._on_silence(process, now)
        elif isinstance(message, Hello):
            self.living[message.pid] = process
            process.pid = message.pid
            if crew is None or process not in crew.candidates:
                process.end("nobody waits for it any more")
            else:
                crew.on_hello(process, now)
        elif isinstance(message, Failed):
            process.failure = message
        elif isinstance(message, Ready):
            self._on_ready(process, now)
        elif isinstance(message, Readiness):
            process.accepting_word, process.word = message.ready, message.why
        elif isinstance(message, Unpinned):
            self._on_unpinned(process, message.why)
        elif crew is not None:
            crew.on_message(process, message, now)

    def _on_silence(self, process: Process, now: float) -> None:
        if process.pid in self.living:
            # Dead and about to be reaped; or the application closed descriptors that it didn't open.
            process.kill_at = min(process.kill_at or now + ORPHANED_CONTROL, now + ORPHANED_CONTROL)
        elif not process.pid and (crew := self.crew_of(process)) is not None:
            crew.lost(process, "", now)

    def _on_unpinned(self, process: Process, why: str) -> None:
        slot = process.slot
        if slot is not None and not slot.unpinned:  # the next ones can't be either
            slot.unpinned = why
            self.log.warning(f"slot {slot.number} is not pinned: {why}", **process.who)

    def _on_ready(self, process: Process, now: float) -> None:
        slot = process.slot
        if slot is None or process.stage is not Stage.STARTING:
            return
        process.enter(Stage.SERVING, now)
        process.ready_at = time.time()
        process.watch.checked = now
        self.ever_ready = True
        self._deaths.on_ready()
        slot.boot_failures = 0
        self.log.info("ready", **process.who)
        if process is slot.incoming:
            old, slot.worker, slot.incoming = slot.worker, process, None
            if old is not None:
                # A second more than idle connections may live: until then they close themselves, by agreement.
                self.retire(old, self.settings.stop_timeout, self.settings.keep_alive + 1.0)
        self.reload.on_ready(process)
        if self.stopping:
            process.send(Lame())

    # What happens to them

    def on_death(self, pid: int, code: int, status: int, now: float) -> None:
        """A process of ours is dead and reaped."""
        process = self.living.pop(pid)
        self.channels.drain(process)
        self.channels.close(process)
        self._deaths.take(process, code, status, now)
