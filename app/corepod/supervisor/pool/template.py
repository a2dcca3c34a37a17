"""Where a generation's workers come from: forks of the template or, where forking is forbidden, an interpreter each."""

from __future__ import annotations

from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.contract.messages import Loaded
    from corepod.supervisor.pool.backoff import Backoff
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.state import Process


# Seconds without a sign of life from a template that owes forks. After PATIENCE another one is loaded beside it for a
# slot that waits; after FORK_TIMEOUT it counts as hung.
PATIENCE, FORK_TIMEOUT = 1.0, 10.0


class Template:
    """The template process, and the bootstrap processes that become it or workers, of one generation.

    A template shows signs of life by its forks: each hello is one, and so is a refusal.
    """

    def __init__(self, log: Log, backoff: Backoff, *, forkable: bool) -> None:
        self._log, self._backoff = log, backoff
        self.forkable: bool | None = None if forkable else False  # None: not known yet
        self.process: Process | None = None
        self.bootstraps: list[Process] = []
        self.loaded = False  # at least once
        self._heard_at = 0.0  # its last sign of life, or when it was asked for forks after it had owed none
        self._patience = PATIENCE

    @property
    def processes(self) -> list[Process]:
        return [*([self.process] if self.process else []), *self.bootstraps]

    def missing_bootstraps(self, candidates: int, together: int) -> int:
        """How many bootstrap processes to start so that `candidates` processes more will come; at most `together` of
        them load the application at a time."""
        if self.forkable is False:
            return max(0, min(candidates, together) - len(self.bootstraps))
        # It becomes the template, which is there even while no candidate is missing: a crash must not wait for an
        # import.
        return 0 if self.to_be is not None else 1

    @property
    def to_be(self) -> Process | None:
        """The bootstrap process that becomes the template if it may be forked."""
        return next((p for p in self.bootstraps if p.templates), None)

    def on_loaded(self, process: Process, message: Loaded, now: float) -> Process | None:
        """A bootstrap process has imported the application. It becomes the template if it may be forked; else it is a
        candidate, which is returned."""
        self.bootstraps.remove(process)
        self.loaded = True
        if process.templates:
            self.process = None  # one that was in doubt
        if message.forkable and process.templates and self.forkable is not False:
            self.forkable = True
            self._backoff.loaded()
            process.enter(Stage.TEMPLATE, now)
            self.process, self._patience = process, PATIENCE
            return None
        if process.templates:
            if self.forkable is not False:
                self._log.info(f"workers are started one by one, not forked: {message.why}")
            self.forkable = False
        process.enter(Stage.ARMING, now)
        return process

    # Signs of life

    def asked(self, now: float, owed: int) -> None:
        """It has been asked for a fork, and owed `owed` others."""
        if not owed:
            self._heard_at = now

    def heard(self, now: float) -> Process | None:
        """It has shown a sign of life. Returns the process that was to replace it, which has no use any more."""
        silence, self._heard_at = self.silence(now), now
        if self.to_be is not None:
            # It is slow, perhaps because the machine is: what it has needed now it may need again.
            self._patience = min(FORK_TIMEOUT, max(self._patience, 2 * silence))
        return self.drop_successor()

    def drop_successor(self) -> Process | None:
        """The bootstrap process that was to be the template has no use any more."""
        if (successor := self.to_be) is not None:
            self.bootstraps.remove(successor)
        return successor

    def silence(self, now: float) -> float:
        return now - self._heard_at

    def begin_anew(self, now: float) -> None:
        """See `Process.begin_anew`."""
        self._heard_at = now

    @property
    def hangs_at(self) -> float:
        """When it counts as hung if it stays silent."""
        return self._heard_at + FORK_TIMEOUT

    @property
    def doubtful_at(self) -> float:
        """When it is time to load another one beside it."""
        return self._heard_at + self._patience

    # Without forks

    def stop_forking(self) -> Process | None:
        """Each candidate loads the application itself. Returns the template, which has no use any more."""
        self.forkable = False
        unneeded, self.process = self.process, None
        return unneeded

    def fork_again(self) -> None:
        """The next bootstrap process may become the template."""
        self.forkable = None

    def clear(self) -> None:
        """All of its processes are about to be killed."""
        self.process = None
        self.bootstraps.clear()

    def on_lost(self, process: Process, how: str, now: float) -> None:
        """The template or a bootstrap process is gone."""
        if process is self.process:
            self.process = None
            if not process.cause:
                self._backoff.template_lost(now - process.since, now)
            wait = (self._backoff.retry_at or now) - now
            when = f" in {wait:.1f} s" if wait else ""
            self._log.warning(
                f"the template is gone ({process.cause or how}) and another one is started{when}", **process.who
            )
        elif process in self.bootstraps:
            self.bootstraps.remove(process)
            self._backoff.load_failed(now, process.row)
