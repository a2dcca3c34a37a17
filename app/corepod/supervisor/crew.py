"""The crew: the processes that may become the next worker, and who waits for one.

One rule keeps it right: there are as many candidates as slots that wait plus the standby. Everything else (boot, crash,
the standby's own death, a reload) only changes how many there are.
"""

from __future__ import annotations

from corepod.contract.messages import Armed, Drain, Loaded, Refused, Unforkable
from corepod.supervisor.policy import BOOT_TRIES
from corepod.supervisor.process import Process, Stage
from corepod.supervisor.setbacks import Setbacks
from corepod.supervisor.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.contract.messages import Message
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.slot import Slot

FORK_TIMEOUT = 10.0  # seconds a fork may take to say hello before the template counts as hung
ARM_TIMEOUT = 30.0  # seconds it may then take to get ready for a slot, without the application's lifespan
DISMISS_TIMEOUT = 5.0  # seconds a live standby has to end its lifespan
# Seconds in which a slot that has just got its worker has the core to itself: making the next standby at once costs the
# first requests after a crash a third of their time, and a second crash would wait for its rehearsal.
CALM = 0.1


class Crew:
    """Source, candidates and the slots that wait for one, all of one generation of the application's code."""

    def __init__(self, generation: int, pool: Pool) -> None:
        self.generation = generation
        self._pool = pool
        self._settings, self._log, self._channels = pool.settings, pool.log, pool.channels
        self.setbacks = Setbacks()
        self.source = Source(generation, pool, self.setbacks)
        self.candidates: list[Process] = []
        self.waiting: list[Slot] = []
        self.closed = False

    @property
    def standby(self) -> Process | None:
        """The armed candidate that no slot waits for."""
        return next((p for p in self.candidates if p.stage is Stage.ARMED), None)

    @property
    def forking(self) -> bool:
        """Whether a child may exist whose pid isn't known yet: an unknown zombie may be it."""
        return any(p.stage is Stage.FORKING for p in self.candidates)

    def want(self, slot: Slot) -> None:
        """This slot waits for the next worker."""
        slot.retry_at = None
        slot.waiting = True
        if slot not in self.waiting:
            self.waiting.append(slot)

    def forget(self, slot: Slot) -> None:
        """This slot doesn't wait here any more."""
        if slot in self.waiting:
            self.waiting.remove(slot)
            slot.waiting = False

    # Its strength

    def fill(self, now: float) -> None:
        """Bring the crew to its strength. Called after everything that may have changed it."""
        if self.closed:
            return
        self._hand_out(now)
        if not self.waiting:
            self._dismiss_surplus(now)
        if self.setbacks.retry_at is not None:
            return
        live = not self.waiting and self._live()
        try:
            for process in self.source.make(self._missing(), urgent=bool(self.waiting), live=live):
                self.candidates.append(process)  # one by one: the next may be refused
        except OSError as error:
            self._on_refusal(error.strerror or str(error), now)

    def _hand_out(self, now: float) -> None:
        while self.waiting and self._pool.board.room and (ready := self.standby) is not None:
            slot = self.waiting.pop(0)
            self.candidates.remove(ready)
            slot.waiting = False
            self.setbacks.handed_out()
            self.setbacks.rest(now + CALM)
            self._pool.activate(ready, slot)

    def _missing(self) -> int:
        if self.waiting:
            return len(self.waiting) - sum(p.stage is not Stage.DRAINING for p in self.candidates)
        return self._spare() - len(self.candidates)

    def _spare(self) -> int:
        if self._settings.standby == "none":
            # What nobody waits for is loaded once all the same: a reload has to know the new code.
            return 0 if self.source.loaded else 1
        return 1 if self.setbacks.spare_at is None else 0

    def _dismiss_surplus(self, now: float) -> None:
        """End what was made for slots that don't wait any more."""
        armed = [p for p in self.candidates if p.stage is Stage.ARMED and (p.live or not self._live())]
        kept = armed[:1] if self._settings.standby != "none" else []
        for process in self.candidates:
            if process.stage is Stage.ARMED and process not in kept:
                self._dismiss(process, now)

    def _live(self) -> bool:
        return self._settings.standby == "live" and not self.setbacks.no_live

    # Time

    def deadline(self) -> float | None:
        """When `expire` and `fill` have something to do by themselves."""
        if self.closed:
            return None
        times = [self.setbacks.retry_at, self.setbacks.spare_at, self._live_until(), *map(_patience, self.candidates)]
        return min((t for t in times if t is not None), default=None)

    def expire(self, now: float) -> None:
        """Do what is due: go on after a pause, end what took too long."""
        if self.closed:
            return
        # Only after the pause: had the template died, too, it has been seen meanwhile and the forks aren't to blame.
        if self.setbacks.expire(now) and self.setbacks.no_forks and self.source.forkable:
            self.source.stop_forking(f"{BOOT_TRIES} forks in a row didn't get ready")
        late = [p for p in self.candidates if (t := _patience(p)) is not None and now >= t]
        for process in late:
            self._on_late(process, now)
        until = self._live_until()
        if until is not None and now >= until and self.standby is not None:
            self._dismiss(self.standby, now)

    def _on_late(self, process: Process, now: float) -> None:
        if process.stage is Stage.ARMING:
            process.end(f"it didn't get ready within {ARM_TIMEOUT:g} s")
            return
        # Whatever was forked, if anything, ends by itself when it finds its control socket closed.
        self.candidates.remove(process)
        self._channels.close(process)
        template = self.source.template
        if template is not None and not template.cause:
            self.setbacks.birth_failed(now)
            template.end(f"it didn't fork within {FORK_TIMEOUT:g} s")

    def _live_until(self) -> float | None:
        ready, age = self.standby, self._settings.live_max_age
        return ready.since + age if ready is not None and ready.live and age else None

    # What the processes say

    def on_message(self, process: Process, message: Message, now: float) -> None:
        """`loaded`, `armed`, `unforkable` or `refused`."""
        if isinstance(message, Loaded) and process in self.source.loaders:
            candidate = self.source.on_loaded(process, message.forkable, message.why, now)
            if candidate is not None:
                self.candidates.append(candidate)
        elif isinstance(message, Armed) and process.stage is Stage.ARMING and process in self.candidates:
            process.enter(Stage.ARMED, now)
            self.setbacks.armed()
        elif isinstance(message, Unforkable) and process is self.source.template:
            # It has grown threads since it was loaded: its children would inherit locks that nobody frees.
            self.source.stop_forking(message.why)
        elif isinstance(message, Refused) and process in self.candidates:
            self.candidates.remove(process)
            self._channels.close(process)
            self._on_refusal(message.why, now)

    def on_hello(self, process: Process, now: float) -> None:
        """A fork has come to life and has told its pid."""
        process.enter(Stage.ARMING, now)
        process.rename({"process": "standby", "pid": process.pid})

    def _on_refusal(self, why: str, now: float) -> None:
        self.setbacks.refused(now)
        self._log.error(f"can't make a process: {why}; trying again (ulimit -u and -n, memory and pids limits?)")

    # What happened to them

    def lost(self, process: Process, how: str, now: float) -> None:
        """A process of the crew is gone; `how` is empty for a fork that never told its pid."""
        if process not in self.candidates:
            self.source.lost(process, how, now)
            return
        self.candidates.remove(process)
        if process.stage is Stage.ARMED:
            self.setbacks.standby_lost(now - process.since, now)
            self._log.warning(f"the standby is gone ({process.cause or how}) and is made again", **process.who)
        elif process.stage is not Stage.DRAINING:
            self.birth_failed(process, now)

    def birth_failed(self, process: Process, now: float) -> None:
        """A candidate has ended before it could take a place."""
        if process.live and process.failure is not None:
            self.setbacks.life_failed(now)
            if self.setbacks.no_live:
                self._log.warning("the application's lifespan fails in the standby: the next one waits without it")
        elif self.source.forkable is False:
            self.setbacks.load_failed(now)
        elif self.source.template is not None:
            self.setbacks.birth_failed(now)

    def close(self, within: float = DISMISS_TIMEOUT) -> None:
        """No more workers from here: end the template and all candidates, a live one within this time."""
        self.closed = True
        self.source.end()
        for process in list(self.candidates):
            if process.stage is Stage.FORKING:
                self.candidates.remove(process)
                self._channels.close(process)
            elif process.stage is not Stage.DRAINING:
                self._dismiss(process, self._pool.loop.now(), min(within, DISMISS_TIMEOUT))
        self.waiting.clear()

    def _dismiss(self, process: Process, now: float, within: float = DISMISS_TIMEOUT) -> None:
        # Only a live one has anything to end in order. It stays a candidate until it is gone: its lifespan must not
        # meet that of its successor.
        process.enter(Stage.DRAINING, now)
        if process.live:
            process.kill_at = now + within
            process.send(Drain(within, 0.0))
        else:
            process.end("it isn't needed any more")


def _patience(process: Process) -> float | None:
    """Until when a candidate may take for what it is doing."""
    if process.stage is Stage.FORKING:
        return process.since + FORK_TIMEOUT
    if process.stage is Stage.ARMING and not process.live and not process.cause:
        return process.since + ARM_TIMEOUT
    return None
