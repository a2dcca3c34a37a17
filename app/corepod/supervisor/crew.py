"""The crew: the template and the processes that may become the next worker.

One rule keeps it right: there are as many candidates as slots that wait plus the standby. Everything else (boot, crash,
the standby's own death, a reload) only changes how many there are.
"""

from __future__ import annotations

from corepod.supervisor.policy import BOOT_PAUSE, BOOT_TRIES, backoff, unit_random
from corepod.supervisor.process import Process, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Message
    from corepod.supervisor.slot import Slot

HELLO_TIMEOUT = 10.0  # seconds a fork may take before the template counts as hung


class Crew:
    """Template, candidates and the slots that wait for one, all of one generation of the application's code."""

    def __init__(self, generation: int, pool: Pool) -> None:
        self.generation = generation
        self._pool = pool
        self._settings, self._log, self._channels = pool.settings, pool.log, pool.channels
        self._load_fds = [pool.board.fd, *(sock.fileno() for sock in pool.listeners)]
        self.forkable: bool | None = None if pool.forkable else False  # None: not known yet
        self.template: Process | None = None
        self.candidates: list[Process] = []
        self.loaders: list[Process] = []
        self.waiting: list[Slot] = []
        self.loaded = False  # at least once
        self.load_failures = 0
        self.standby_failures = 0
        self.retry_at: float | None = None
        self._standby_retry_at: float | None = None
        self.closed = False

    @property
    def standby(self) -> Process | None:
        """The armed candidate that no slot waits for."""
        return next((p for p in self.candidates if p.stage is Stage.ARMED), None)

    def want(self, slot: Slot) -> None:
        """This slot waits for the next worker."""
        if slot not in self.waiting:
            slot.waiting = True
            self.waiting.append(slot)

    def forget(self, slot: Slot) -> None:
        """This slot doesn't wait any more."""
        slot.waiting = False
        if slot in self.waiting:
            self.waiting.remove(slot)

    def fill(self, now: float) -> None:
        """Bring the crew to its strength. Called after everything that may have changed it."""
        if self.closed:
            return
        self._hand_out()
        missing = len(self.waiting) + self._spare(now) - len(self.candidates)
        if self.template is not None:
            for _ in range(missing):
                self._fork()
        elif self.retry_at is None:
            # One loader becomes the template; where nothing may be forked each becomes a worker.
            wanted = 1 if self.forkable is not False else missing
            for _ in range(wanted - len(self.loaders)):
                self._load(now)

    def deadline(self) -> float | None:
        """When `fill` and `expire` have something to do by themselves."""
        times = [p.since + HELLO_TIMEOUT for p in self.candidates if p.stage is Stage.FORKING]
        times += [t for t in (self.retry_at, self._standby_retry_at) if t is not None]
        oldest = self._live_until()
        return min([*times, oldest] if oldest is not None else times, default=None)

    def expire(self, now: float) -> None:
        """End what took too long: a template that doesn't fork, a live standby past its age."""
        if self.retry_at is not None and now >= self.retry_at:
            self.retry_at = None
        if self._standby_retry_at is not None and now >= self._standby_retry_at:
            self._standby_retry_at = None
        late = [p for p in self.candidates if p.stage is Stage.FORKING and now - p.since >= HELLO_TIMEOUT]
        if late and self.template is not None:
            self.template.end("it didn't fork in time")
        for process in late:
            self.candidates.remove(process)
            self._channels.close(process)
        until = self._live_until()
        if until is not None and now >= until and self.standby is not None:
            self.standby.end("greatest age of a live standby")

    # What the processes say

    def on_message(self, process: Process, message: Message, now: float) -> None:
        """`loaded`, `armed` or `unforkable`."""
        kind = message["type"]
        if kind == "loaded" and process in self.loaders:
            self._on_loaded(process, bool(message["forkable"]), str(message["why"]), now)
        elif kind == "armed" and process in self.candidates:
            process.enter(Stage.ARMED, now)
            self.standby_failures = 0
        elif kind == "unforkable" and process is self.template:
            self._on_unforkable(process, str(message["why"]))

    def on_hello(self, process: Process, now: float) -> None:
        """A fork has come to life and has told its pid."""
        process.enter(Stage.ARMING, now)
        process.rename({"process": "standby", "pid": process.pid})

    def _on_loaded(self, process: Process, forkable: bool, why: str, now: float) -> None:
        # A process that may be forked becomes the template, another one a candidate itself.
        self.loaders.remove(process)
        self.loaded, self.load_failures = True, 0
        if forkable:
            self.forkable = True
            process.enter(Stage.TEMPLATE, now)
            process.rename({"process": "template", "pid": process.pid})
            self.template = process
            return
        if self.forkable is None:
            self._log.info(f"workers are started one by one, not forked: {why}")
        self.forkable = False
        process.enter(Stage.ARMING, now)
        process.rename({"process": "standby", "pid": process.pid})
        self.candidates.append(process)

    def _on_unforkable(self, process: Process, why: str) -> None:
        # The template has grown threads since it was loaded: its children would inherit locks that nobody frees.
        self._log.warning(f"workers are started one by one from now on, not forked: {why}")
        self.forkable = False
        self._drop_forks()
        process.end("it may not be forked any more")

    # What happened to them

    def lost(self, process: Process, now: float) -> None:
        """A process of the crew is gone (or its fork never came to life)."""
        if process is self.template:
            self.template = None
            self._drop_forks()
            if not self.closed and self.forkable:
                self._log.warning("the template is gone and is made again; workers go on", pid=process.pid)
        elif process in self.loaders:
            self.loaders.remove(process)
            self.load_failures += 1
            pause = BOOT_PAUSE if self.load_failures < BOOT_TRIES else backoff(self.load_failures, unit_random())
            self.retry_at = now + pause
        elif process in self.candidates:
            self.candidates.remove(process)
            self._standby_lost(process, now)

    def close(self) -> None:
        """No more workers from here: end the template and all candidates."""
        self.closed = True
        for process in self.members():
            process.end("the pool stops or has new code")
            if process.stage is Stage.FORKING:
                self._channels.close(process)
        self.waiting.clear()

    def members(self) -> list[Process]:
        return [*([self.template] if self.template else []), *self.loaders, *self.candidates]

    @property
    def forking(self) -> bool:
        """Whether a child may exist whose pid isn't known yet: an unknown zombie may be it."""
        return any(p.stage is Stage.FORKING for p in self.candidates)

    def _hand_out(self) -> None:
        while self.waiting and (ready := self.standby) is not None:
            slot = self.waiting.pop(0)
            self.candidates.remove(ready)
            slot.waiting = False
            self._pool.activate(ready, slot)

    def _spare(self, now: float) -> int:
        if self._settings.standby == "none" or self._standby_retry_at is not None:
            return 0
        return 1

    def _fork(self) -> None:
        assert self.template is not None
        # A slot that waits gets its worker sooner without the rehearsal that a standby has time for.
        urgent = len(self.candidates) < len(self.waiting)
        live = not urgent and self._settings.standby == "live" and self.standby_failures < BOOT_TRIES
        self.candidates.append(self._channels.fork(self.template, warm=not urgent, live=live))

    def _load(self, now: float) -> None:
        role = "worker" if self.forkable is False else "template"
        live = self._settings.standby == "live" and not self.waiting
        load = {"do": "load", "settings": self._settings.values, "role": role, "live": live}
        try:
            process = self._channels.spawn(self.generation, load, self._load_fds)
        except OSError as error:
            self.load_failures += 1
            self.retry_at = now + max(1.0, backoff(self.load_failures, unit_random()))
            self._log.error(
                f"can't start a process: {error.strerror}; trying again (ulimit -u, memory and pids limits?)"
            )
            return
        process.live = live
        process.rename({"process": "loader", "pid": process.pid})
        self._pool.living[process.pid] = process
        self.loaders.append(process)

    def _drop_forks(self) -> None:
        for process in [p for p in self.candidates if p.stage is Stage.FORKING]:
            self.candidates.remove(process)
            self._channels.close(process)

    def _standby_lost(self, process: Process, now: float) -> None:
        self.standby_failures += 1
        pause = backoff(self.standby_failures, unit_random())
        if pause and not self.closed:
            self._standby_retry_at = now + pause
        if self.standby_failures == 1 and not self.closed and not process.cause:
            self._log.warning("the standby is gone and is made again; workers go on", pid=process.pid or None)

    def _live_until(self) -> float | None:
        ready, age = self.standby, self._settings.live_max_age
        return ready.since + age if ready is not None and ready.live and age else None
