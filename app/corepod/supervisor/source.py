"""Where a crew's candidates come from: forks of the template or, where nothing may be forked, an interpreter each."""

from __future__ import annotations

from corepod.contract.messages import Load
from corepod.supervisor.process import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Process
    from corepod.supervisor.setbacks import Setbacks


class Source:
    """The template, or the loader that becomes it or a candidate, of one generation of the application's code."""

    def __init__(self, generation: int, pool: Pool, setbacks: Setbacks) -> None:
        self._generation, self._pool, self._setbacks = generation, pool, setbacks
        self._load_fds = [pool.board.fd, *(sock.fileno() for sock in pool.listeners)]
        self.forkable: bool | None = None if pool.forkable else False  # None: not known yet
        self.template: Process | None = None
        self.loaders: list[Process] = []
        self.loaded = False  # at least once

    def make(self, count: int, *, urgent: bool, live: bool) -> Iterator[Process]:
        """See to `count` candidates more. Yields those that are forked; loaders come by `on_loaded`.

        An urgent one takes its slot sooner, without the rehearsal that a standby has time for. Raises OSError where the
        system has no room for another process.
        """
        if self.template is not None:
            for _ in range(count):
                yield self._pool.channels.fork(self.template, warm=not urgent, live=live)
            return
        # One loader becomes the template; where nothing may be forked each becomes a worker.
        for _ in range((count if self.forkable is False else 1) - len(self.loaders)):
            self._load(live)

    def on_loaded(self, process: Process, forkable: bool, why: str, now: float) -> Process | None:
        """A loader is done. It becomes the template if it may be forked, else it is a candidate, which is returned."""
        self.loaders.remove(process)
        self.loaded = True
        if forkable:
            self.forkable = True
            self._setbacks.loaded()
            process.enter(Stage.TEMPLATE, now)
            process.rename({"process": "template", "pid": process.pid})
            self.template = process
            return None
        if self.forkable is None:
            self._pool.log.info(f"workers are started one by one, not forked: {why}")
        self.forkable = False
        process.enter(Stage.ARMING, now)
        process.rename({"process": "standby", "pid": process.pid})
        return process

    def stop_forking(self, why: str) -> None:
        """From now on each candidate loads the application itself."""
        self._pool.log.warning(f"workers are started one by one from now on, not forked: {why}")
        self.forkable = False
        if self.template is not None:
            self.template.end("nothing is forked any more")
            self.template = None

    def lost(self, process: Process, how: str, now: float) -> None:
        """The template or a loader is gone."""
        if process is self.template:
            self.template = None
            if not process.cause:
                self._setbacks.template_lost(now - process.since, now)
            self._pool.log.warning(f"the template is gone ({process.cause or how}) and is made again", **process.who)
        elif process in self.loaders:
            self.loaders.remove(process)
            self._setbacks.load_failed(now)

    def end(self) -> None:
        """The template and the loaders aren't needed any more."""
        for process in [*([self.template] if self.template else []), *self.loaders]:
            process.end("it isn't needed any more")

    def _load(self, live: bool) -> None:
        pool = self._pool
        role = "worker" if self.forkable is False else "template"
        process = pool.channels.spawn(self._generation, Load(pool.settings.values, role, live), self._load_fds)
        process.live = live
        process.rename({"process": "loader", "pid": process.pid})
        pool.living[process.pid] = process
        self.loaders.append(process)
