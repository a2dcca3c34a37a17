"""The generation that gives slots their workers, the fresh one of a reload, and the change from one to the other."""

from __future__ import annotations

from corepod.supervisor.pool.generation import DISMISS_TIMEOUT, Generation
from corepod.supervisor.pool.reload import Abort, Done, Reload, Retire, Want
from corepod.supervisor.pool.restarts import Wait
from corepod.supervisor.pool.state import ASKED, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from corepod.contract.messages import Message
    from corepod.supervisor.pool.observer import Observer
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.processes import Processes
    from corepod.supervisor.pool.state import Process, Slot
    from corepod.supervisor.pool.turns import Turns
    from corepod.supervisor.settings import Settings

IMPORTS_A_CORE = 4  # of the application, at the same time


class Generations:
    """`current` is the one that has proved itself, or the first. Once `closed` there are no more workers."""

    def __init__(
        self,
        settings: Settings,
        processes: Processes,
        slots: list[Slot],
        log: Log,
        random: Callable[[], float],
        *,
        forkable: bool,
        usable: int,
        observer: Observer,
        turns: Turns | None = None,
    ) -> None:
        self._usable, self._observer, self._turns = usable, observer, turns
        self._settings, self._processes, self._slots, self._log = settings, processes, slots, log
        self._random, self._forkable = random, forkable and settings.preload != "nothing"
        self._made = 0
        self.current = self._new()
        self._reload = Reload(overlap=settings.overlap)

    def _new(self) -> Generation:
        self._made += 1
        return Generation(self._made, self._settings, self._log, self._random, forkable=self._forkable)

    @property
    def all(self) -> list[Generation]:
        return [g for g in (self.current, self._reload.fresh) if g is not None]

    @property
    def closed(self) -> bool:
        return self.current.closed

    @property
    def reloading(self) -> bool:
        return self._reload.active

    @property
    def forking(self) -> bool:
        """Whether a child may exist whose pid isn't known yet: an unknown zombie may be it."""
        return any(g.forking for g in self.all)

    def of(self, process: Process) -> Generation | None:
        """The generation of `process`, if it is still there."""
        return next((g for g in self.all if g.number == process.generation), None)

    def is_fresh(self, generation: Generation) -> bool:
        """Whether a reload has begun with it, and no worker of it has been ready yet."""
        return generation is self._reload.fresh

    def on_message(self, process: Process, message: Message, now: float) -> None:
        generation = self.of(process)
        if generation is not None:
            self._processes.carry_out(generation, generation.on_message(process, message, now), now)

    # Time

    def deadline(self) -> float | None:
        """When `step` has something to do by itself."""
        times = [*(g.deadline() for g in self.all), self._reload.deadline()]
        return min((t for t in times if t is not None), default=None)

    def step(self, now: float, *, stopping: bool) -> None:
        """Go on with a reload, and give the slots that wait their workers."""
        if not stopping:
            self._change_over(now)
        for generation in self.all:
            self._processes.carry_out(generation, generation.expire(now), now)
            waiting = [slot for slot in self._slots if slot.waits_for == generation.number]
            # One that serves can wait for longer than one that nobody serves.
            waiting.sort(key=lambda slot: (slot.worker is not None, slot.waits_since, slot.number))
            orders = generation.fill(
                waiting,
                self._processes.free_records,
                now,
                together=self._together(),
                ahead=self._reload.still_to_come(generation, self._slots),
            )
            self._processes.carry_out(generation, orders, now)

    def use(self, cores: int) -> None:
        """As many cores may be used from now on."""
        self._usable = cores

    def _together(self) -> int:
        """How many processes may import the application at the same time. While nobody serves, no more than there are
        cores, so that the first one is there soon; later more, because an import also waits for disks and servers."""
        serves = any(slot.worker is not None and slot.worker.stage is Stage.SERVING for slot in self._slots)
        return self._usable * (IMPORTS_A_CORE if serves else 1)

    # Reload

    def request_reload(self) -> int:
        """Returns its number: it is over when as many have ended."""
        self._reload.request()
        return self._reload.asked

    @property
    def reloads(self) -> dict[str, Any]:
        """What became of the reloads, for people and for whoever waits for one."""
        reload = self._reload
        return {"asked": reload.asked, "ended": reload.ended, "failure": reload.failure}

    def leave_out_reload(self, now: float) -> None:
        """The pool stops, which cuts off a reload."""
        if not self._reload.is_over:
            why = "the pool is stopping"
            self._observer.reloaded(why, self._reload.lasted(now))
            self._reload.leave_out(why)

    def begin_reload_if_due(self, now: float) -> None:
        """Load new code, if that was asked for. It takes the place of new code that hasn't proved itself yet."""
        if not self._reload.is_due(now):
            return
        self._drop(self._reload.end(), now)
        for slot in self._slots:
            if slot.replacing:  # the reload does it, and with the new code
                slot.end_replacement()
                self._leave(slot, now)
        again = f"{self._settings.env_file} is read again, and other " if self._settings.env_file else ""
        self._log.info(f"HUP: {again}settings stay as they were at the start (a restart changes them)")
        self._log.info("reload: loading the new code", event="reload")
        fresh = self._new()
        self._reload.begin(fresh, now)
        for slot in self._slots:
            if slot.failed:
                slot.wait(fresh.number, now)  # the old code has had its chance there
            elif slot.worker is not None:
                slot.stop_waiting()  # for another worker of the old code, whose import may hang
                if slot.incoming is not None and slot.incoming.stage is not Stage.DRAINING:
                    self._processes.drain(slot.incoming, self._settings.stop_timeout, 0.0, now)
            slot.forgive()

    def on_ready(self, process: Process, now: float) -> None:
        """A worker is ready. If it is the first one of new code, the old generation isn't needed any more."""
        proven = self._reload.on_ready(process)
        if proven is None:
            return
        old, self.current = self.current, proven
        for slot in self._slots:
            if slot.waits_for == old.number:
                slot.wait(proven.number, now)
        self._close(old, now)

    def on_failure(self, process: Process, slot: Slot, now: float) -> None:
        """The worker of `slot` ended before it was ready."""
        verdict = self._reload.on_failure(process, slot)
        if isinstance(verdict, Abort):
            self.abort_reload(verdict.why, now)
        elif isinstance(verdict, Wait):
            slot.pause(now + verdict.seconds)
        elif slot.replacing:
            self.keep_worker(slot, "the new one didn't become ready", now)

    def keep_workers(self, why: str, now: float) -> None:
        """No new worker will come for the slots whose present one was to be replaced."""
        for slot in self._slots:
            if slot.replacing:
                self.keep_worker(slot, why, now)

    def keep_worker(self, slot: Slot, why: str, now: float) -> None:
        """Its present worker isn't replaced, after all."""
        again = slot.replacing != ASKED
        if not (again and slot.replace_failures):
            text = "; it is tried again after a growing pause, and not said again" if again else ""
            self._log.error(f"slot {slot.number} keeps its worker: {why}{text}", event="replace-failed")
        slot.replacement_failed(now)
        self._leave(slot, now)

    def _leave(self, slot: Slot, now: float) -> None:
        """A worker that serves isn't replaced by what is on its way."""
        if slot.worker is not None and slot.waits_for:
            slot.stop_waiting()
        if slot.incoming is not None:
            self._processes.drain(slot.incoming, self._settings.stop_timeout, 0.0, now)

    def abort_reload(self, why: str, now: float) -> None:
        """Keep what serves now."""
        new = [str(s.number) for s in self._slots if self._reload.has_changed(s) and not s.failed]
        mixed = f" (new code in slot {', '.join(new)}; reload again to change the others)" if new else ""
        self._log.error(f"reload aborted: {why}; the present workers stay{mixed}", event="reload-failed")
        if not self._reload.is_over:  # else a stop has cut it off
            self._observer.reloaded(f"{why}{mixed}", self._reload.lasted(now))
        self._drop(self._reload.abort(f"{why}{mixed}"), now)
        for slot in self._slots:
            if slot.worker is not None:
                slot.stop_waiting()  # for a worker of code that has proved itself before the reload was given up

    def _change_over(self, now: float) -> None:
        step = self._reload.step(self._slots, now)
        if isinstance(step, Want):
            if self._has_turn(step.slot.worker, now):
                step.slot.wait(self.all[-1].number, now)
        elif isinstance(step, Retire):
            if self._has_turn(step.worker, now):
                self._processes.retire(step.worker, now)
        elif isinstance(step, Done):
            self._log.info(f"reload: done in {step.seconds:.1f} s", event="reloaded")
            self._observer.reloaded("", step.seconds)

    def _has_turn(self, worker: Process | None, now: float) -> bool:
        return self._turns is None or worker is None or self._turns.may_replace(worker, now)

    def _drop(self, fresh: Generation | None, now: float) -> None:
        """Go back to the generation that has proved itself."""
        if fresh is None:
            return
        self._close(fresh, now)
        for slot in self._slots:
            if slot.incoming is not None:
                self._processes.drain(slot.incoming, self._settings.stop_timeout, 0.0, now)

    # The end

    def close(self, within: float, now: float) -> None:
        """No more workers: end everything that isn't one."""
        for generation in self.all:
            self._close(generation, now, within)

    def _close(self, generation: Generation, now: float, within: float = DISMISS_TIMEOUT) -> None:
        for slot in self._slots:
            if slot.waits_for == generation.number:
                slot.stop_waiting()
        self._processes.carry_out(generation, generation.close(within), now)
