"""A generation: the processes that may become the next workers, all of the same load of the application's code.

One rule keeps it right: there are as many candidates as slots that wait, plus the standby. Boot, crash, the standby's
own death and a reload only change how many there are.

What it decides comes back as orders, which the pool carries out.
"""

from __future__ import annotations

from corepod.contract.messages import Armed, Loaded, Refused, Unforkable
from corepod.supervisor.pool.backoff import BOOT_TRIES, Backoff
from corepod.supervisor.pool.orders import Dismiss, Forget, HandOver, Kill, MakeBootstrap, MakeFork
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.pool.template import Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.contract.messages import Message
    from corepod.contract.record import Record
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.state import Process, Slot
    from corepod.supervisor.settings import Settings

FORK_TIMEOUT = 10.0  # seconds a fork may take to say hello before the template counts as hung
ARM_TIMEOUT = 30.0  # seconds it may then take to get ready for a slot, without the application's lifespan
DISMISS_TIMEOUT = 5.0  # seconds a live standby has to end its lifespan
# Seconds in which a slot that has just got its worker has the core to itself: making the next standby at once costs the
# first requests after a crash a third of their time, and a second crash would wait for its warm-up.
CALM = 0.1
UNNEEDED = "it isn't needed any more"


class Generation:
    """Template and candidates. `number` is 1 for the code that the pool starts with, one more for each reload."""

    def __init__(
        self, number: int, settings: Settings, log: Log, random: Callable[[], float], *, forkable: bool
    ) -> None:
        self.number = number
        self._settings, self._log = settings, log
        self.backoff = Backoff(random, loads=1 if settings.attended else BOOT_TRIES)
        self.template = Template(log, self.backoff, forkable=forkable)
        self.candidates: list[Process] = []
        self.closed = False

    @property
    def standby(self) -> Process | None:
        """The armed candidate that no slot waits for."""
        return next((p for p in self.candidates if p.stage is Stage.ARMED), None)

    @property
    def forking(self) -> bool:
        """Whether a child may exist whose pid isn't known yet: an unknown zombie may be it."""
        return any(p.stage is Stage.FORKING for p in self.candidates)

    @property
    def loaded(self) -> bool:
        """Whether the application could be imported, at least once."""
        return self.template.loaded

    # Its strength

    def fill(self, waiting: list[Slot], free_records: int, now: float) -> list[Record]:
        """Bring it to its strength. Called after everything that may have changed it."""
        if self.closed:
            return []
        orders: list[Record] = self._hand_overs(waiting[:free_records], now)
        left = waiting[len(orders) :]
        if not left:
            orders += self._surplus()
        if self.backoff.retry_at is None:
            orders += self._births(left)
        return orders

    def _hand_overs(self, waiting: list[Slot], now: float) -> list[Record]:
        orders: list[Record] = []
        for slot in waiting:
            if (ready := self.standby) is None:
                break
            self.candidates.remove(ready)
            self.backoff.handed_over()
            self.backoff.hold_spare(now + CALM)
            orders.append(HandOver(ready, slot))
        return orders

    def _surplus(self) -> list[Record]:
        """What was made for slots that don't wait any more."""
        armed = [p for p in self.candidates if p.stage is Stage.ARMED and (p.live or not self._live())]
        kept = armed[:1] if self._settings.standby != "none" else []
        return [Dismiss(p, DISMISS_TIMEOUT) for p in self.candidates if p.stage is Stage.ARMED and p not in kept]

    def _births(self, waiting: list[Slot]) -> list[Record]:
        missing, live = self._missing(waiting), not waiting and self._live()
        template = self.template.process
        if template is not None:
            return [] if template.cause else [MakeFork(template, warm=not waiting, live=live)] * missing
        role = "worker" if self.template.forkable is False else "template"
        return [MakeBootstrap(role, live)] * self.template.missing_bootstraps(missing)

    def _missing(self, waiting: list[Slot]) -> int:
        if waiting:
            return len(waiting) - sum(p.stage is not Stage.DRAINING for p in self.candidates)
        return self._spare() - len(self.candidates)

    def _spare(self) -> int:
        if self._settings.standby == "none":
            # Loaded once all the same, although no slot waits: a reload has to know the new code.
            return 0 if self.loaded else 1
        return 1 if self.backoff.spare_at is None else 0

    def _live(self) -> bool:
        return self._settings.standby == "live" and not self.backoff.no_live

    def add(self, process: Process) -> None:
        """A process that was ordered has been made."""
        (self.template.bootstraps if process.stage is Stage.LOADING else self.candidates).append(process)

    def refused(self, why: str, now: float) -> None:
        """The system refused to make a process."""
        self.backoff.refused(now)
        self._log.error(
            f"can't start a process: {why}; trying again (check ulimit -u and -n, and the limits of memory and pids)"
        )

    # Time

    def deadline(self) -> float | None:
        """When `expire` and `fill` have something to do by themselves."""
        if self.closed:
            return None
        times = [self.backoff.retry_at, self.backoff.spare_at, self._live_until(), *map(_patience, self.candidates)]
        return min((t for t in times if t is not None), default=None)

    def expire(self, now: float) -> list[Record]:
        """Go on after a pause, and end what took too long."""
        if self.closed:
            return []
        orders: list[Record] = []
        # Only after the pause: had the template died, too, it has been seen meanwhile and the forks aren't to blame.
        if self.backoff.expire(now) and self.backoff.no_forks and self.template.forkable:
            orders += self._stop_forking(f"{BOOT_TRIES} forks in a row didn't get ready")
        late = [p for p in self.candidates if (t := _patience(p)) is not None and now >= t]
        orders += [Kill(p, f"it didn't get ready within {ARM_TIMEOUT:g} s") for p in late if p.stage is Stage.ARMING]
        orders += self._give_up_forks([p for p in late if p.stage is Stage.FORKING], now)
        until = self._live_until()
        if until is not None and now >= until and self.standby is not None:
            orders.append(Dismiss(self.standby, DISMISS_TIMEOUT))
        return orders

    def _give_up_forks(self, forks: list[Process], now: float) -> list[Record]:
        """The template hangs. That is one failure, however many forks it owes: three would end forking for good."""
        for fork in forks:
            self.candidates.remove(fork)
        orders: list[Record] = [Forget(fork) for fork in forks]
        template = self.template.process
        if forks and template is not None and not template.cause:
            self.backoff.fork_failed(now)
            orders.append(Kill(template, f"it didn't fork within {FORK_TIMEOUT:g} s"))
        return orders

    def _live_until(self) -> float | None:
        ready, age = self.standby, self._settings.live_max_age
        return ready.since + age if ready is not None and ready.live and age else None

    def _stop_forking(self, why: str) -> list[Record]:
        template = self.template.stop_forking(why)
        return [Kill(template, "workers are no longer forked")] if template is not None else []

    # What its processes say, and how they end

    def on_message(self, process: Process, message: Message, now: float) -> list[Record]:
        """Loaded, Armed, Unforkable or Refused; from a process that has no reason to say so it changes nothing."""
        if isinstance(message, Loaded) and process in self.template.bootstraps:
            candidate = self.template.on_loaded(process, message, now)
            if candidate is not None:
                self.candidates.append(candidate)
        elif isinstance(message, Armed) and process.stage is Stage.ARMING and process in self.candidates:
            process.enter(Stage.ARMED, now)
            self.backoff.armed()
        elif isinstance(message, Unforkable) and process is self.template.process:
            # It has grown threads since it was loaded: its children would inherit locks that nobody frees.
            return self._stop_forking(message.why)
        elif isinstance(message, Refused) and process.stage is Stage.FORKING and process in self.candidates:
            self.candidates.remove(process)
            self.refused(message.why, now)
            return [Forget(process)]
        return []

    def on_hello(self, process: Process, now: float) -> None:
        """A fork has come to life and has told its pid."""
        process.enter(Stage.ARMING, now)

    def on_lost(self, process: Process, how: str, now: float) -> None:
        """A process of it without a slot is gone; `how` is empty for a fork that never told its pid."""
        if process not in self.candidates:
            self.template.on_lost(process, how, now)
            return
        self.candidates.remove(process)
        if process.stage is Stage.ARMED:
            self.backoff.standby_lost(now - process.since, now)
            self._log.warning(f"the standby is gone ({process.cause or how}) and another one is started", **process.who)
        elif process.stage is not Stage.DRAINING:
            self.on_failed_birth(process, now)

    def on_failed_birth(self, process: Process, now: float) -> None:
        """A candidate has ended before it could take a place."""
        if process.live and process.failure is not None:
            self.backoff.lifespan_failed(now)
            if self.backoff.no_live:
                self._log.warning(
                    "the application's lifespan keeps failing in the standby: from now on standbys wait without it"
                )
        elif self.template.forkable is False:
            self.backoff.load_failed(now)
        elif (template := self.template.process) is not None and not template.cause:
            self.backoff.fork_failed(now)

    def close(self, within: float = DISMISS_TIMEOUT) -> list[Record]:
        """No more workers from here: end all its processes, a live standby within this time."""
        self.closed = True
        orders: list[Record] = [Kill(p, UNNEEDED) for p in self.template.processes]
        for process in self.candidates:
            if process.stage is Stage.FORKING:
                orders.append(Forget(process))
            elif process.stage is not Stage.DRAINING:
                orders.append(Dismiss(process, min(within, DISMISS_TIMEOUT)))
        self.candidates.clear()
        self.template.clear()
        return orders


def _patience(process: Process) -> float | None:
    """Until when a candidate may take for what it is doing."""
    if process.stage is Stage.FORKING:
        return process.since + FORK_TIMEOUT
    if process.stage is Stage.ARMING and not process.live and not process.cause:
        return process.since + ARM_TIMEOUT
    return None
