"""The pool: a state machine without I/O. Events and the time come in, orders go out to the launcher.

Everything that happens to a process ends up here, and one rule makes sure that no slot is ever lost: in each tick, a
slot that has no worker, none on its way and no reason not to get one waits for the next.
"""

from __future__ import annotations

from corepod.contract.escaping import line
from corepod.contract.exits import EXIT_APP, EXIT_BOOT, EXIT_BUDGET, EXIT_OK
from corepod.contract.messages import (
    Failed,
    Hello,
    InboxRequest,
    Malformed,
    Readiness,
    Ready,
    Signalled,
    TurnAnswer,
    Unpinned,
)
from corepod.contract.scoreboard import TICK
from corepod.supervisor.pool import exits, protocol, restarts
from corepod.supervisor.pool.exits import BootReports
from corepod.supervisor.pool.generations import Generations
from corepod.supervisor.pool.observer import Observer
from corepod.supervisor.pool.processes import Processes
from corepod.supervisor.pool.restarts import Budget, GiveUp, Loss, Wait
from corepod.supervisor.pool.state import ASKED, Process, Slot, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from corepod.contract.messages import Message
    from corepod.supervisor.pool.exits import Exit, ExitReport
    from corepod.supervisor.pool.generation import Generation
    from corepod.supervisor.pool.ports import Launcher, Log, Scoreboard
    from corepod.supervisor.pool.restarts import RestartNow
    from corepod.supervisor.pool.turns import Turns
    from corepod.supervisor.settings import Settings

OFFENCE = "invalid message"
REPLACE_TIMEOUT = 600.0  # seconds that a new worker may take to be ready while the one that it replaces serves
# Seconds for which a signal to stop that a worker gets may be the first of several, to all processes of the pool: who
# sends them may be held up between two. The worker serves meanwhile, so nobody misses anything.
ALL_SIGNALLED = 4.0
ORPHANED_CONTROL = 1.0  # seconds a process may live without its control socket: nothing could tell it to stop


class Pool:
    """Owns slots, generations and processes. `exit_code` is set once there is nothing more to do but leave."""

    def __init__(
        self,
        settings: Settings,
        launcher: Launcher,
        scoreboard: Scoreboard,
        log: Log,
        cores: Sequence[int | None],
        *,
        forkable: bool,
        usable: int,
        wall: Callable[[], float],
        random: Callable[[], float],
        observer: Observer | None = None,
    ) -> None:
        """A slot for each of `cores`. `usable` is the number of cores on which processes may run, `wall` the time of
        day, for people, and `random` a number from 0 to 1."""
        self.settings = settings
        self._observer = observer or Observer()
        self._scoreboard, self._log, self._random, self._wall = scoreboard, log, random, wall
        self.slots = [Slot(number, core) for number, core in enumerate(cores)]
        self.processes = Processes(settings, launcher, scoreboard, self.slots, wall)
        self._turns: Turns | None = None
        if settings.take_turns:
            from corepod.supervisor.pool.turns import Turns  # costs nothing where nobody asks for it

            self._turns = Turns(settings.take_turns, self.processes, log)
        self.generations = Generations(
            settings,
            self.processes,
            self.slots,
            log,
            random,
            forkable=forkable,
            usable=usable,
            observer=self._observer,
            turns=self._turns,
        )
        self.ever_ready = False
        self.stopping = False
        self.exit_code: int | None = None
        self._boots = BootReports(log)
        self._budget = Budget(*settings.crash_budget)
        self._last_status = 0

    @property
    def workers(self) -> list[Process]:
        """All that have or had a slot and live."""
        return [p for slot in self.slots for p in slot.processes]

    def waits_for_turn(self, slot: Slot) -> bool:
        """Whether its worker is to be replaced when it is its turn among those of all pools."""
        return self._turns is not None and slot.worker is not None and self._turns.waits(slot.worker)

    # Time

    def deadline(self) -> float | None:
        """When `tick` has something to do by itself."""
        times = [self.processes.deadline(), self.generations.deadline(), *(slot.retry_at for slot in self.slots)]
        times += [slot.replace_by for slot in self.slots]
        times += [self._signal_due(slot) for slot in self.slots]
        times.append(self._turns.deadline() if self._turns is not None else None)
        return min((t for t in times if t is not None), default=None)

    def tick(self, now: float) -> None:
        """Do what is due. Called after every event, too: what an event has changed has its consequences here."""
        self.processes.kill_late(now)
        self.generations.begin_reload_if_due(now)
        if not self.generations.closed:
            for slot in self.slots:
                if (due := self._signal_due(slot)) is not None and now >= due:
                    self._obey_signal(slot, now)
                self._let_wait_if_idle(slot, now)
                if slot.replace_by is not None and now >= slot.replace_by:
                    self.generations.keep_worker(slot, f"no new one was ready within {REPLACE_TIMEOUT:g} s", now)
        if self._turns is not None:
            self._turns.pass_time(now)
        self.generations.step(now, stopping=self.stopping)
        if self._turns is not None:
            self._turns.tick(now)

    def _let_wait_if_idle(self, slot: Slot, now: float) -> None:
        if slot.retry_at is not None and now >= slot.retry_at:
            slot.resume()
        # Without overlap the next lifespan must not begin before the last one has ended.
        if slot.idle and (self.settings.overlap or not slot.retiring):
            slot.wait(self.generations.current.number, now)

    def _signal_due(self, slot: Slot) -> float | None:
        """When the worker of a slot has to make way because it alone has been told to stop."""
        worker = slot.worker
        if worker is None or worker.signalled_at is None or self.stopping or self.generations.reloading:
            return None
        if slot.changing and worker.stage is not Stage.STARTING:
            return None  # it is being replaced anyway
        return worker.signalled_at + ALL_SIGNALLED

    def _obey_signal(self, slot: Slot, now: float) -> None:
        worker = slot.worker
        assert worker is not None
        worker.obeys()
        if worker.stage is Stage.STARTING:  # it serves nobody: the slot gets the next one
            self._log.info("makes way for a new worker: a signal told it to stop", event="replaced", **worker.who)
            self.processes.drain(worker, self.settings.stop_timeout, 0.0, now)
        else:
            self.restart(slot, "a signal told it to stop", now)

    # What is asked of the pool

    def add_slot(self, core: int | None) -> None:
        self.slots.append(Slot(len(self.slots), core))  # slots come and go at the end

    def remove_slot(self, now: float) -> None:
        """One slot less: the last one's worker drains, and its numbers go with it."""
        slot = self.slots.pop()
        if self.processes.remove_inbox(slot):
            self._log.warning(f"slot {slot.number} is removed with messages in its inbox, which are lost")
        for process in slot.processes:
            if process.stage is not Stage.DRAINING:
                self.processes.drain(process, self.settings.stop_timeout, self.settings.keep_alive, now)
        if not self.stopping and all(other.failed for other in self.slots):
            # The cores or the load took away the only slot that served, and nobody wants the pool to end for that.
            self._log.warning("every slot that is left was given up: each gets another chance")
            for other in self.slots:
                other.forgive()
        self._end_if_given_up(EXIT_BUDGET, now)

    def request_reload(self) -> int:
        """Returns the number of the reload (see `Generations.reloads`), 0 where the pool is stopping."""
        if self.stopping:
            self._log.warning("the reload is ignored: the pool is stopping")
            return 0
        self._boots.forget()  # who asks for a reload wants to see why it fails, also when it fails as the last one did
        return self.generations.request_reload()

    def recycle(self, slot: Slot, reason: str, why: str, now: float, *, urgent: bool = False) -> str:
        """Replace a worker that has reached a limit. One slot after the other: returns why not now, empty where it is
        done. `reason` is a word to count it by; `urgent`: it doesn't wait for workers of other pools."""
        if (busy := self._busy()) or slot.worker is None:
            return busy or f"slot {slot.number} has no worker"
        if self._turns is not None and not self._turns.may_replace(slot.worker, now, urgent=urgent):
            return "it waits for its turn"
        return self.restart(slot, why, now, reason)

    def _busy(self) -> str:
        """Why no worker can be recycled now, empty where one can. A slot that is down doesn't keep the others from it,
        unless the one that is recycled would be down as well for a while."""
        if self.stopping:
            return "the pool is stopping"
        if self.generations.reloading:
            return "a reload is under way"
        for slot in self.slots:
            down = slot.worker is None and not slot.failed
            if slot.changing or (down and not self.settings.overlap):
                return f"slot {slot.number} is getting a new worker"
        # One that is forked in a hurry hasn't warmed up: its first requests would show it.
        if self.settings.standby != "none" and not self.generations.current.standbys:
            return "no standby is ready"
        return ""

    def restart(self, slot: Slot, why: str, now: float, reason: str = ASKED) -> str:
        """Replace the worker of a slot by a new one of the same code; it serves until that one is ready, and its end is
        no death. A slot that was given up, or pauses, gets a worker at once. Returns why not, empty where it is done.
        """
        if self.stopping:
            return "the pool is stopping"
        if self.generations.reloading:
            return "a reload is under way, which replaces every worker"
        ending = slot.worker is None and bool(slot.retiring) and not self.settings.overlap
        if slot.changing or ending:
            return f"slot {slot.number} is getting a new worker already"
        if slot.worker is None:
            slot.forgive()
            slot.resume()
            return ""
        if reason == ASKED or not slot.replace_failures:
            event = "replaced" if reason == ASKED else "recycled"
            self._log.info(f"makes way for a new worker: {why}", event=event, **slot.worker.who)
        if self.settings.overlap:
            slot.begin_replacement(reason, now + REPLACE_TIMEOUT)
            slot.wait(self.generations.current.number, now)
        else:
            slot.replaced_for(reason)
            self.processes.retire(slot.worker, now)
        return ""

    def lame(self, now: float) -> None:
        """The pool is about to stop: it goes on serving, but isn't ready, and asks clients to go."""
        self._begin_to_stop(now)
        for process in self.workers:
            self.processes.lame(process)

    def drain(self, within: float, now: float) -> None:
        """The end of every process, in order and within this time. No process starts from now on."""
        self._close(within, now)
        for process in self.workers:
            if process.stage is not Stage.DRAINING:
                self.processes.drain(process, within, 0.0, now)

    def stop_now(self, code: int, now: float, message: str = "") -> None:
        """Kill every process, and leave with this exit code once they are gone."""
        if message:
            self._log.error(message, event="gave-up")
        if code and self.exit_code is None:
            self._observer.gave_up(None, message or "the application can't be found", code)
        self.exit_code = code if self.exit_code is None else self.exit_code
        self._close(0.0, now)
        self.processes.kill_all("the pool was stopped at once")

    def _close(self, within: float, now: float) -> None:
        self._begin_to_stop(now)
        self.generations.close(within, now)
        for slot in self.slots:
            slot.resume()
            slot.end_replacement()

    def _begin_to_stop(self, now: float) -> None:
        self.stopping = True
        self.generations.leave_out_reload(now)  # else it would be due at once, again and again

    # What processes say

    def on_message(self, process: Process, message: Message | Malformed, sender: int, now: float) -> None:
        """A message has come on the control socket of `process`, written by the process `sender`, as the kernel says (0
        where it can't name it). One that has no place there costs whoever wrote it."""
        by_another = self.processes.living.get(sender, process) is not process
        if wrong := protocol.complaint(process, message, by_another=by_another):
            self._on_offence(process, wrong, sender, now)
        elif process.failure is not None or process.cause:
            pass  # it ends, or is being killed: whatever else it says of itself is void
        elif isinstance(message, Hello):
            self._on_hello(process, sender, now)
        elif isinstance(message, Failed):
            process.failed(message)
            process.expect_end(now + self.settings.stop_timeout)
        elif isinstance(message, Ready):
            self._on_ready(process, now)
        elif isinstance(message, Readiness):
            process.says(message.ready, line(message.why[: protocol.LONGEST_WHY]))
        elif isinstance(message, Signalled):
            process.signalled(now)
        elif isinstance(message, Unpinned):
            self._on_unpinned(process, message.why or "its worker doesn't say why")
        elif isinstance(message, InboxRequest):
            self.processes.answer(process, message)
        elif isinstance(message, TurnAnswer):
            if self._turns is not None:
                self._turns.on_answer(process, message)
        elif not isinstance(message, Malformed):
            self.generations.on_message(process, message, now)

    def _on_offence(self, process: Process, what: str, sender: int, now: float) -> None:
        """The control socket of `process` carries what it must not. Whoever wrote it is ended, and it is said once."""
        culprit = self.processes.living.get(sender, process)
        if process.stage is Stage.FORKING and culprit is process and self.processes.adopt(process, sender):
            process.enter(Stage.ARMING, now)
        if culprit.cause:
            return  # it is about to die
        writer = f" (by process {sender})" if sender not in (0, culprit.pid) else ""
        self._log.error(f"killed, because it wrote to its control socket{writer} {what}", **culprit.who)
        if culprit.pid:
            self.processes.kill(culprit, OFFENCE)
        else:
            self._lose_fork(process, now)  # whatever was forked finds its socket closed

    def on_eof(self, process: Process, now: float) -> None:
        """The control socket of `process` is closed at its end."""
        if process.pid in self.processes.living:
            # Dead and about to be reaped; or the application closed descriptors that it didn't open.
            process.expect_end(now + ORPHANED_CONTROL)
        elif (generation := self.generations.of(process)) is not None:
            generation.on_lost(process, "", now)  # a fork that never told its pid

    def _on_hello(self, process: Process, pid: int, now: float) -> None:
        generation = self.generations.of(process)
        if generation is None:
            return
        if self.processes.adopt(process, pid):
            generation.on_hello(process, now)
        else:
            self._log.warning(
                f"a fork (process {pid}) isn't a child of the supervisor and can't become a worker: the application or "
                "this sandbox hands orphans to another process (PR_SET_CHILD_SUBREAPER)"
            )
            self._lose_fork(process, now)

    def _lose_fork(self, fork: Process, now: float) -> None:
        self.processes.forget(fork)
        if (generation := self.generations.of(fork)) is not None:
            generation.on_lost(fork, "", now)

    def _on_unpinned(self, process: Process, why: str) -> None:
        slot = process.slot
        if slot is not None and not slot.unpinned:  # the next ones can't be either
            slot.not_pinned(why)
            self._log.warning(f"slot {slot.number} is not pinned: {why}", **process.who)

    def _on_ready(self, process: Process, now: float) -> None:
        slot = process.slot
        if slot is None or process.stage is not Stage.STARTING:
            return  # it drains already
        self.processes.ready(process, now)
        if not self.ever_ready:
            self._observer.first_ready(process)
        self.ever_ready = True
        self._boots.forget()
        self._log.info("ready", event="ready", **process.who)
        if process is slot.incoming and (old := slot.hand_over()) is not None:
            if slot.replacing:
                slot.replaced_for(slot.replacing)
                slot.end_replacement()
            self.processes.retire(old, now)
        self.generations.on_ready(process, now)
        if self.stopping:
            self.processes.lame(process)

    # How they end

    def on_exit(self, pid: int, end: Exit, now: float) -> None:
        """A process of ours is dead and reaped, and everything that it had said has been delivered."""
        process = self.processes.remove(pid)
        slot = process.slot
        if slot is None:
            self._on_exit_without_slot(process, end.description, now)
            return
        report = exits.report(process, self._scoreboard, end, now)
        # Before its first tick nothing of the application has run: the slot hasn't lost anything.
        unplaced = process.stage is Stage.STARTING and not self._scoreboard.word(process.record, TICK)
        incoming = process is slot.incoming
        slot.forget(process, self._scoreboard.words(process.record), report.lost, report.unheard)
        self._scoreboard.release(process.record)
        if not unplaced:
            slot.remember_exit(process, report, self._wall())
            planned = process.stage is Stage.DRAINING or self.generations.closed
            self._observer.exited(process, report, planned=planned)
        if process.stage is Stage.DRAINING:
            exits.log_retired(self._log, process, report)
        elif unplaced:
            self._on_unplaced(process, slot, report, now)
        elif incoming:
            self._boots.write(process, report.description)
            self.generations.on_failure(process, slot, now)
        else:
            self._on_loss(process, slot, report, now)

    def _on_exit_without_slot(self, process: Process, how: str, now: float) -> None:
        generation = self.generations.of(process)
        if generation is None or generation.closed:
            return
        kind = ""
        if process.stage in (Stage.LOADING, Stage.IMPORTING, Stage.ARMING):
            kind = self._boots.write(process, process.cause or how)
        generation.on_lost(process, how, now)
        if kind:
            self._check_boot(generation, kind, now)

    def _check_boot(self, generation: Generation, kind: str, now: float) -> None:
        no_load = generation.backoff.no_load
        if self.generations.is_fresh(generation):
            if no_load or not generation.loaded:
                self.generations.abort_reload("the new code can't be loaded", now)
        elif kind == "missing" and not generation.loaded:
            self.stop_now(EXIT_APP, now)
        elif no_load:
            self.generations.keep_workers("the application can't be loaded", now)
            self._give_up_boot(now)

    def _give_up_boot(self, now: float) -> None:
        if self._budget.final(self.ever_ready) and not any(slot.worker for slot in self.slots):
            most = self.generations.current.backoff.most_loads
            tries = f" ({most} tries)" if most > 1 else ""
            self.stop_now(EXIT_BOOT, now, f"the application can't be loaded{tries}")

    def _on_unplaced(self, process: Process, slot: Slot, report: ExitReport, now: float) -> None:
        if self.generations.closed:
            return
        self._log.warning(f"the standby ended before it could take its place: {report.description}", **process.who)
        if (generation := self.generations.of(process)) is not None:
            generation.on_failed_birth(process, now)
        if process.slot is not None and process.slot.replacing:
            process.slot.wait(self.generations.current.number, now)  # it still has a worker, and isn't idle

    def _on_loss(self, process: Process, slot: Slot, report: ExitReport, now: float) -> None:
        slot.ended(report.description)
        slot.end_replacement()  # from now on the slot needs a new worker anyway
        self._last_status = report.status
        if self.generations.closed:
            self._log.error(f"died: {report.text}", event="died", **process.who)
            return
        self._judge(process, slot, report, now)
        if process.ready_at is None:
            self.generations.on_failure(process, slot, now)

    def _judge(self, process: Process, slot: Slot, report: ExitReport, now: float) -> None:
        failed_boot = process.failure is not None
        if failed_boot:
            slot.count_boot_failure()
        else:
            slot.count_death(report, process.served(now), now, self._budget.window)
        loss = Loss(failed_boot, slot.boot_failures, list(slot.deaths), slot.streak.count, self.ever_ready)
        verdict = restarts.decide(loss, self._budget, now, self._random())
        if failed_boot:
            self._boots.write(process, report.description)
        else:
            outlook = restarts.outlook(verdict, loss, self._budget, now)
            self._log.error(f"died: {report.text}{outlook}", event="died", **process.who)
        if slot.idle:  # else another worker has its chance already
            self._follow(verdict, slot, now)

    def _follow(self, verdict: RestartNow | Wait | GiveUp, slot: Slot, now: float) -> None:
        if isinstance(verdict, Wait):
            slot.pause(now + verdict.seconds)
        elif isinstance(verdict, GiveUp):
            slot.give_up(verdict.why)
            self._observer.gave_up(slot, verdict.why, None)
            self._log.error(f"slot {slot.number} is given up: {verdict.why}", event="gave-up")
            passed_on = verdict.code == EXIT_BUDGET and self.settings.exit_code == "worker"
            # Never 0: who starts the pool would take that for a success and leave it at that.
            self._end_if_given_up((passed_on and self._last_status) or verdict.code, now)

    def _end_if_given_up(self, code: int, now: float) -> None:
        """Leave with `code` if every slot has been given up; where a stop was asked for, that is what it is."""
        if all(slot.failed for slot in self.slots):
            self.stop_now(EXIT_OK if self.stopping else code, now, "every slot is given up: the pool exits")
