"""The pool: slots and the crew that fills them. Everything that happens to a process ends up here."""

from __future__ import annotations

import time

from corepod.contract import EXIT_APP, EXIT_BOOT, EXIT_BUDGET
from corepod.supervisor import obituary, policy
from corepod.supervisor.board import Board
from corepod.supervisor.crew import Crew
from corepod.supervisor.proc import Cgroup
from corepod.supervisor.process import Channels, Process, Stage
from corepod.supervisor.reload import Reload
from corepod.supervisor.slot import Slot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

    from corepod.supervisor.log import Log
    from corepod.supervisor.loop import Loop
    from corepod.supervisor.process import Message
    from corepod.supervisor.settings import Settings

ORPHANED_CONTROL = 1.0  # seconds a process may live without its control socket: nothing could tell it to stop


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
        self._last_traceback = ""
        self._memory_kills = self.cgroup.memory_kills()
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
        return min(times, default=None)

    def tick(self, now: float) -> None:
        """Do what is due, and bring the crews to their strength."""
        for process in self.living.values():
            if process.kill_at is not None and now >= process.kill_at:
                process.kill_at = None
                process.end("it didn't stop in time")
        for slot in self.slots:
            if slot.retry_at is not None and now >= slot.retry_at:
                slot.retry_at = None
                self.crew.want(slot)
        self.reload.step(now)
        for crew in self._crews():
            crew.expire(now)
            crew.fill(now)

    def _crews(self) -> list[Crew]:
        return [crew for crew in (self.crew, self.reload.crew) if crew is not None]

    def _crew_of(self, process: Process) -> Crew | None:
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
        process.send(
            {
                "do": "activate",
                "slot": slot.number,
                "worker": process.number,
                "core": slot.core,
                "restarts": slot.restarts,
                "record": process.record,
                "slots": len(self.slots),
            }
        )

    def retire(self, process: Process, within: float, linger: float) -> None:
        """Let a worker finish what it serves, for `within` seconds; idle connections may stay for `linger` of them."""
        now = self.loop.now()
        slot = process.slot
        if slot is not None and process is slot.worker:
            slot.worker = None
            slot.retiring.append(process)
        process.enter(Stage.DRAINING, now)
        process.kill_at = now + within
        process.send({"do": "drain", "within": within, "linger": min(linger, within)})

    def add_slot(self, core: int | None) -> None:
        slot = Slot(max((s.number for s in self.slots), default=-1) + 1, core)
        self.slots.append(slot)
        self.crew.want(slot)

    def remove_slot(self) -> None:
        """One slot less: the last one's worker drains, and its numbers go with it."""
        slot = self.slots.pop()
        self.crew.forget(slot)
        for process in slot.processes:
            if process.stage is not Stage.DRAINING:
                self.retire(process, self.settings.stop_timeout, self.settings.keep_alive)

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
        crew = self._crew_of(process)
        if message is None:
            self._on_silence(process, now)
        elif message["type"] == "hello":
            self.living[int(message["pid"])] = process
            process.pid = int(message["pid"])
            if crew is None or process not in crew.candidates:
                process.end("nobody waits for it any more")
            else:
                crew.on_hello(process, now)
        elif message["type"] == "failed":
            process.failure = message
        elif message["type"] == "ready":
            self._on_ready(process, now)
        elif message["type"] == "word":
            process.accepting_word, process.word = bool(message["ready"]), str(message["why"])
        elif message["type"] == "note":
            self.log.warning(str(message["text"]), **process.who)
        elif crew is not None:
            crew.on_message(process, message, now)

    def _on_silence(self, process: Process, now: float) -> None:
        if process.pid in self.living:
            # Dead and about to be reaped; or the application closed descriptors that it didn't open.
            process.kill_at = min(process.kill_at or now + ORPHANED_CONTROL, now + ORPHANED_CONTROL)
        elif (crew := self._crew_of(process)) is not None:
            crew.lost(process, now)

    def _on_ready(self, process: Process, now: float) -> None:
        slot = process.slot
        if slot is None or process.stage is not Stage.STARTING:
            return
        process.enter(Stage.SERVING, now)
        process.ready_at = time.time()
        process.watch.checked = now
        self.ever_ready = True
        self._last_traceback = ""
        slot.boot_failures = 0
        self.log.info("ready", **process.who)
        if process is slot.incoming:
            self.reload.took_over(process, slot)
        if self.stopping:
            process.send({"do": "lame"})

    # What happens to them

    def on_death(self, pid: int, code: int, status: int, now: float) -> None:
        """A process of ours is dead and reaped."""
        process = self.living.pop(pid)
        self.channels.drain(process)
        self.channels.close(process)
        if process.slot is not None:
            self._on_worker_death(process, process.slot, code, status, now)
        elif (crew := self._crew_of(process)) is not None:
            if process.stage is Stage.LOADING and not crew.closed:
                self._on_load_failure(process, crew, code, status, now)
            crew.lost(process, now)

    def _on_load_failure(self, process: Process, crew: Crew, code: int, status: int, now: float) -> None:
        kind = self._report_boot(process, code, status)
        if crew is self.reload.crew:
            self.reload.abort("the new code can't be loaded")
        elif not self.ever_ready and not crew.loaded:
            if kind == "missing":
                self.finish(EXIT_APP)
            elif crew.load_failures + 1 >= policy.BOOT_TRIES:
                self.finish(EXIT_BOOT, f"the application can't be loaded ({policy.BOOT_TRIES} tries)")

    def _report_boot(self, process: Process, code: int, status: int) -> str:
        """Log a failed boot, its traceback only where it is news. Returns its kind: missing, exception or died."""
        failure = process.failure
        if failure is None:
            how = policy.describe(code, status)
            self.log.error(f"ended with {how} before it was ready", **process.who)
            return "died"
        traceback = str(failure.get("traceback", ""))
        text = str(failure["message"])
        if traceback and traceback != self._last_traceback:
            text += "\n" + traceback.rstrip()
            self._last_traceback = traceback
        self.log.error(text, **process.who)
        return str(failure["kind"])

    def _on_worker_death(self, process: Process, slot: Slot, code: int, status: int, now: float) -> None:
        kills = self.cgroup.memory_kills()
        oom, self._memory_kills = kills > self._memory_kills, kills
        report = obituary.write(process, self.board, code, status, oom=oom, now=now)
        obituary.settle(process, slot, self.board, report)
        if process.stage is Stage.DRAINING:
            self._on_retired(process, slot, report)
        elif process is slot.incoming:
            slot.incoming = None
            self._report_boot(process, code, status)
            self.reload.abort("a new worker didn't become ready")
        else:
            slot.worker = None
            self._on_loss(process, slot, report, now)

    def _on_retired(self, process: Process, slot: Slot, report: obituary.Report) -> None:
        if process in slot.retiring:
            slot.retiring.remove(process)
        if process.cause:
            self.log.warning(f"ended: {process.cause}{report.lost_text}", **process.who)
        else:
            self.log.info("stopped", **process.who)

    def _on_loss(self, process: Process, slot: Slot, report: obituary.Report, now: float) -> None:
        slot.last_exit = report.words
        self.last_status = report.status
        limit, window = self.settings.crash_budget
        if process.failure is not None:
            self._report_boot(process, report.code, report.status)
            self.reload.on_loss(process)
            slot.boot_failures += 1
            if slot.boot_failures >= policy.BOOT_TRIES and (limit or not self.ever_ready):
                return self._give_up(slot, EXIT_BOOT, f"its lifespan failed {policy.BOOT_TRIES} times")
            slot.retry_at = now + max(policy.BOOT_PAUSE, self._pause(process, slot, now) if not limit else 0.0)
            return None
        self.reload.on_loss(process)
        slot.restarts += 1
        slot.reasons[report.reason] = slot.reasons.get(report.reason, 0) + 1
        slot.deaths.append(now)
        while limit and now - slot.deaths[0] >= window:
            slot.deaths.popleft()
        died = f"died: {report.text}"
        if limit and not policy.within_budget(slot.deaths, now, limit, window):
            self.log.error(died, **process.who)
            return self._give_up(slot, EXIT_BUDGET, f"{len(slot.deaths)} deaths in {window:g} s, allowed are {limit}")
        pause = self._pause(process, slot, now) if not limit else 0.0
        if not limit:
            slot.deaths.clear()
        then = f"again in {pause:.1f} s" if pause else "restarting"
        count = f" (death {len(slot.deaths)} of {limit} in {window:g} s)" if limit else ""
        self.log.error(f"{died}; {then}{count}", **process.who)
        if pause:
            slot.retry_at = now + pause
        else:
            self.crew.want(slot)
        return None

    def _pause(self, process: Process, slot: Slot, now: float) -> float:
        stable = process.ready_at is not None and now - process.since >= policy.STABLE
        slot.row = 1 if stable else slot.row + 1
        return policy.backoff(slot.row, policy.unit_random())

    def _give_up(self, slot: Slot, code: int, why: str) -> None:
        slot.failed = why
        self.log.error(f"slot {slot.number} is given up: {why}")
        if all(s.failed for s in self.slots):
            passed = code == EXIT_BUDGET and self.settings.exit_code == "worker"
            self.finish(self.last_status if passed else code, "every slot is given up: the pool ends")
