"""Where a generation's workers come from: forks of the template or, where forking is forbidden, an interpreter each."""

from __future__ import annotations

from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.contract.messages import Loaded
    from corepod.supervisor.pool.backoff import Backoff
    from corepod.supervisor.pool.ports import Log
    from corepod.supervisor.pool.state import Process


class Template:
    """The template process, and the bootstrap processes that become it or workers, of one generation."""

    def __init__(self, log: Log, backoff: Backoff, *, forkable: bool) -> None:
        self._log, self._backoff = log, backoff
        self.forkable: bool | None = None if forkable else False  # None: not known yet
        self.process: Process | None = None
        self.bootstraps: list[Process] = []
        self.loaded = False  # at least once

    @property
    def processes(self) -> list[Process]:
        return [*([self.process] if self.process else []), *self.bootstraps]

    def missing_bootstraps(self, candidates: int) -> int:
        """How many bootstrap processes to start so that `candidates` processes more will come."""
        # One of them becomes the template, which is there even while no candidate is missing: a crash must not wait
        # for an import. Where nothing may be forked each of them becomes a worker.
        return max(0, (candidates if self.forkable is False else 1) - len(self.bootstraps))

    def on_loaded(self, process: Process, message: Loaded, now: float) -> Process | None:
        """A bootstrap process has imported the application. It becomes the template if it may be forked; else it is a
        candidate, which is returned."""
        self.bootstraps.remove(process)
        self.loaded = True
        if message.forkable and self.forkable is not False:
            self.forkable = True
            self._backoff.loaded()
            process.enter(Stage.TEMPLATE, now)
            self.process = process
            return None
        if self.forkable is None:
            self._log.info(f"workers are started one by one, not forked: {message.why}")
        self.forkable = False
        process.enter(Stage.ARMING, now)
        return process

    def stop_forking(self, why: str) -> Process | None:
        """From now on each candidate loads the application itself. Returns the template, which has no use any more."""
        self._log.warning(f"from now on workers are started one by one, not forked: {why}")
        self.forkable = False
        unneeded, self.process = self.process, None
        return unneeded

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
            self._log.warning(
                f"the template is gone ({process.cause or how}) and another one is started", **process.who
            )
        elif process in self.bootstraps:
            self.bootstraps.remove(process)
            self._backoff.load_failed(process.since, now)
