"""A generation: the processes that may become the next workers, all of the same load of the application's code.

One rule keeps it right: there are as many candidates as slots that wait, plus the standby. Boot, crash, the standby's
own death and a reload only change how many there are.

What it decides comes back as orders, which the pool carries out.
"""

from __future__ import annotations

from corepod.contract.messages import Armed, Imported, Loaded, Refused, Unforkable
from corepod.supervisor.pool.backoff import BOOT_TRIES, Backoff
from corepod.supervisor.pool.orders import Dismiss, Forget, HandOver, Kill, MakeBootstrap, MakeFork
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.pool.template import FORK_TIMEOUT, Template

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.contract.messages import Message
    from corepod.contract.record import Record
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.state import Process, Slot
    from corepod.supervisor.settings import Settings

ARM_TIMEOUT = 30.0  # seconds a process may take to get ready for a slot, without the application's lifespan
FORKS_AT_ONCE = 64  # that a template may owe: each is a packet in its socket's queue, which has room for some hundreds
LATE = 1.0  # seconds by which the supervisor may miss a deadline before that proves that it didn't run
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
        self._unneeded: list[Process] = []  # to be dismissed
        self._waiting = 0  # slots that wait for a process which isn't armed yet
        self._ahead = 0  # slots of a reload that get a worker of this generation soon

    @property
    def standbys(self) -> list[Process]:
        """The armed candidates, which no slot waits for."""
        return [p for p in self.candidates if p.stage is Stage.ARMED]

    @property
    def forking(self) -> bool:
        """Whether a child may exist whose pid isn't known yet: an unknown zombie may be it."""
        return bool(self._owed)

    @property
    def _owed(self) -> list[Process]:
        """The forks that a template has been asked for and that haven't come to life."""
        return [p for p in self.candidates if p.stage is Stage.FORKING]

    @property
    def _forks_import(self) -> bool:
        """Whether the template has only the libraries, so that each fork imports the application."""
        return self._settings.preload == "libraries"

    @property
    def loaded(self) -> bool:
        """Whether the application could be imported, at least once."""
        return self.template.loaded

    # Its strength

    def fill(
        self, waiting: list[Slot], free_records: int, now: float, *, together: int = 1, ahead: int = 0
    ) -> list[Record]:
        """Bring it to its strength. Called after everything that may have changed it.

        `together`: how many processes may load the application at the same time. `ahead`: how many slots don't wait yet
        and will soon, in a reload; where each process imports the application, they get theirs loaded before.
        """
        if self.closed:
            return []
        imports_itself = self.template.forkable is False or self._forks_import
        self._ahead = min(ahead, together) if imports_itself else 0
        orders: list[Record] = self._hand_overs(waiting[:free_records], now)
        left = waiting[len(orders) :]
        self._waiting = len(left)
        if not left:
            orders += self._surplus()
        if self.backoff.retry_at is None:
            orders += self._births(left, together, now)
        return orders

    def _hand_overs(self, waiting: list[Slot], now: float) -> list[Record]:
        orders: list[Record] = []
        for slot, ready in zip(waiting, self.standbys, strict=False):
            self.candidates.remove(ready)
            self.backoff.handed_over()
            self.backoff.hold_spare(now + CALM)
            orders.append(HandOver(ready, slot))
        return orders

    def _surplus(self) -> list[Record]:
        """What was made for slots that don't wait any more."""
        fit = [p for p in self.standbys if p.live or not self._live()]
        kept = fit[: max(self._standbys(), self._ahead)]
        return [Dismiss(p, DISMISS_TIMEOUT) for p in self.standbys if p not in kept]

    def _births(self, waiting: list[Slot], together: int, now: float) -> list[Record]:
        missing, live = self._missing(waiting), not waiting and self._live()
        template = self.template.process
        if template is None:
            role = "worker" if self.template.forkable is False else "template"
            return [MakeBootstrap(role, live)] * self.template.missing_bootstraps(missing, together)
        if template.cause:  # it is killed, and may take its time to die
            return [MakeBootstrap("template", live=False)] if waiting and self.template.to_be is None else []
        missing = min(missing, FORKS_AT_ONCE - len(self._owed))
        if self._forks_import:
            importing = sum(p.stage in (Stage.FORKING, Stage.IMPORTING) for p in self.candidates)
            missing = min(missing, together - importing)
        forks: list[Record] = [MakeFork(template, warm=not waiting, live=live)] * missing
        due = self._doubtful_at()
        if due is None or now < due:
            return forks
        silence = self.template.silence(now)
        self._log.warning(
            f"the template has not forked for {silence:.1f} s: another one is loaded to take its place", **template.who
        )
        return [*forks, MakeBootstrap("template", live=False)]

    def _doubtful_at(self) -> float | None:
        """When a slot that waits for the template's forks gets another template, beside the present one."""
        in_use = self.template.process is not None and not self.template.process.cause
        if in_use and self._waiting and self._owed and self.template.to_be is None:
            return self.template.doubtful_at
        return None

    def _missing(self, waiting: list[Slot]) -> int:
        if waiting:
            return len(waiting) + self._ahead - sum(p.stage is not Stage.DRAINING for p in self.candidates)
        return max(self._spare(), self._ahead) - len(self.candidates)

    def _spare(self) -> int:
        if self._settings.standby == "none":
            # Loaded once all the same, although no slot waits: a reload has to know the new code.
            return 0 if self.loaded else 1
        return self._standbys() if self.backoff.spare_at is None else 0

    def _standbys(self) -> int:
        return self._settings.standbys if self._settings.standby != "none" else 0

    def _live(self) -> bool:
        return self._settings.standby == "live" and not self.backoff.no_live and not self._ahead

    def add(self, process: Process) -> None:
        """A process that was ordered has been made."""
        process.belongs_to(self.backoff.row)
        if process.stage is Stage.FORKING:
            self.template.asked(process.since, len(self._owed))
        (self.template.bootstraps if process.stage is Stage.LOADING else self.candidates).append(process)

    def refused(self, why: str, now: float) -> None:
        """The system refused to make a process."""
        self.backoff.refused(now)
        self._tell_refusal(why)

    def _tell_refusal(self, why: str) -> None:
        self._log.error(
            f"can't start a process: {why}; trying again (check ulimit -u and -n, and the limits of memory and pids)"
        )

    # Time

    def deadline(self) -> float | None:
        """When `expire` and `fill` have something to do by themselves."""
        if self.closed:
            return None
        held = self.backoff
        times = [held.retry_at, held.spare_at, held.fork_at]
        times += [*map(_patience, self.candidates), *map(self._lives_until, self.standbys)]
        template = self.template.process
        if template is not None and not template.cause and self._owed:
            times.append(self.template.hangs_at)
        if held.retry_at is None:
            times.append(self._doubtful_at())
        return min((t for t in times if t is not None), default=None)

    def expire(self, now: float) -> list[Record]:
        """Go on after a pause, and end what took too long."""
        if self.closed:
            return []
        self._excuse_if_late(now)
        orders: list[Record] = [Dismiss(p, DISMISS_TIMEOUT) for p in self._unneeded]
        self._unneeded.clear()
        # Only after the pause: had the template died, too, it has been seen meanwhile and the forks aren't to blame.
        if self.backoff.expire(now) and self.backoff.no_forks and self.template.forkable:
            pause = self.backoff.stop_forking(now)
            orders += self._stop_forking(f"for {pause:g} s", f"{BOOT_TRIES} forks in a row didn't get ready")
        elif self.backoff.fork_again(now):
            self.template.fork_again()
        late = [p for p in self.candidates if (t := _patience(p)) is not None and now >= t]
        orders += [Kill(p, f"it didn't get ready within {ARM_TIMEOUT:g} s") for p in late]
        orders += self._end_if_hung(now)
        orders += self._forget([p for p in self._owed if p.parent is not self.template.process])
        old = [p for p in self.standbys if (t := self._lives_until(p)) is not None and now >= t]
        return orders + [Dismiss(p, DISMISS_TIMEOUT) for p in old]

    def _excuse_if_late(self, now: float) -> None:
        """Where the supervisor itself has missed a deadline by far, it, or the whole machine, was stopped or starved:
        what its processes were doing has not had that time either."""
        due = self.deadline()
        if due is None or now - due <= LATE:
            return
        for process in self.candidates:
            if process.stage is not Stage.ARMED:
                process.begin_anew(now)
        self.template.begin_anew(now)

    def _end_if_hung(self, now: float) -> list[Record]:
        """That is one failure, however many forks it owes: three would end forking."""
        template = self.template.process
        if template is None or template.cause or not self._owed or now < self.template.hangs_at:
            return []
        self.backoff.fork_failed(now)
        return [*self._forget(self._owed), Kill(template, f"it has not forked for {FORK_TIMEOUT:g} s")]

    def _forget(self, forks: list[Process]) -> list[Record]:
        for fork in forks:
            self.candidates.remove(fork)
        return [Forget(fork) for fork in forks]

    def _lives_until(self, standby: Process) -> float | None:
        age = self._settings.live_max_age
        return standby.since + age if standby.live and age else None

    def _stop_forking(self, how_long: str, why: str) -> list[Record]:
        self._log.warning(f"{how_long} workers are started one by one, not forked: {why}")
        orders = self._forget(self._owed)
        if (successor := self.template.drop_successor()) is not None:
            orders.append(Dismiss(successor, DISMISS_TIMEOUT))
        template = self.template.stop_forking()
        return [*orders, Kill(template, "workers are no longer forked")] if template is not None else orders

    # What its processes say, and how they end

    def on_message(self, process: Process, message: Message, now: float) -> list[Record]:
        """Loaded, Imported, Armed, Unforkable or Refused; one from a process that has no reason to say so changes
        nothing."""
        if isinstance(message, Loaded) and process in self.template.bootstraps:
            return self._on_loaded(process, message, now)
        if isinstance(message, Imported) and process.stage is Stage.IMPORTING:
            process.enter(Stage.ARMING, now)
        elif isinstance(message, Armed) and process.stage is Stage.ARMING and process in self.candidates:
            self._on_armed(process, now)
        elif isinstance(message, Unforkable) and process is self.template.process:
            # It has grown threads since it was loaded: its children would inherit locks that nobody frees.
            return self._stop_forking("from now on", message.why)
        elif isinstance(message, Refused) and process.stage is Stage.FORKING and process in self.candidates:
            self._hear(process, now)
            if self.backoff.fork_refused(now, process.row):
                self._tell_refusal(message.why)
            return self._forget([process])
        return []

    def _on_loaded(self, process: Process, message: Loaded, now: float) -> list[Record]:
        old = self.template.process if process.templates else None
        silence = self.template.silence(now)
        candidate = self.template.on_loaded(process, message, now)
        if candidate is not None:
            self.candidates.append(candidate)
        if old is None:
            return []
        if not old.cause:
            self.backoff.fork_failed(now)
        return [Kill(old, f"it has not forked for {silence:.1f} s")]

    def _on_armed(self, process: Process, now: float) -> None:
        process.enter(Stage.ARMED, now)
        process.belongs_to(self.backoff.row)
        again, forks_again = self.backoff.armed(forked=process.parent is not None)
        if again:
            self._log.info("processes can be started again")
        if forks_again:
            self._log.info("workers are forked again")

    def on_hello(self, process: Process, now: float) -> None:
        """A fork has come to life and has told its pid."""
        process.enter(Stage.IMPORTING if self._forks_import else Stage.ARMING, now)
        self._hear(process, now)

    def _hear(self, fork: Process, now: float) -> None:
        if fork.parent is self.template.process and (successor := self.template.heard(now)) is not None:
            self._unneeded.append(successor)

    def on_lost(self, process: Process, how: str, now: float) -> None:
        """A process of it without a slot is gone; `how` is empty for a fork that never told its pid."""
        if process not in self.candidates:
            self.template.on_lost(process, how, now)
            return
        self.candidates.remove(process)
        if process.stage is Stage.ARMED:
            self.backoff.standby_lost(now - process.since, now, process.row)
            self._log.warning(f"the standby is gone ({process.cause or how}) and another one is started", **process.who)
        elif process.stage is not Stage.DRAINING:
            self.on_failed_birth(process, now)

    def on_failed_birth(self, process: Process, now: float) -> None:
        """A candidate has ended before it could take a place."""
        importing, failure = process.stage is Stage.IMPORTING, process.failure
        # Not for its memory: a fork inherits the template's limits, and an executed process may have enough.
        if importing and failure is not None and failure.kind != "memory":
            self.backoff.load_failed(now, process.row)
        elif process.live and failure is not None and not importing:
            self.backoff.lifespan_failed(now, process.row)
            if self.backoff.no_live:
                self._log.warning(
                    "the application's lifespan keeps failing in the standby: from now on standbys wait without it"
                )
        elif process.parent is None:
            self.backoff.load_failed(now, process.row)
        elif process.parent is self.template.process and not process.parent.cause:
            self.backoff.fork_failed(now, process.row)

    def close(self, within: float = DISMISS_TIMEOUT) -> list[Record]:
        """No more workers from here: end all its processes, a live standby within this time."""
        self.closed = True
        orders: list[Record] = [Kill(p, UNNEEDED) for p in [*self.template.processes, *self._unneeded]]
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
    if process.stage is Stage.ARMING and not process.live and not process.cause:
        return process.since + ARM_TIMEOUT
    return None
