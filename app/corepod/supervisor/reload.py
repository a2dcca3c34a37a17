"""A rolling reload: new code is loaded beside the old, and each slot changes over when its new worker is ready."""

from __future__ import annotations

from corepod.supervisor.process import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.crew import Crew
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Process
    from corepod.supervisor.slot import Slot


class Reload:
    """Takes one slot after the other. Until the first new worker is ready, the old crew stays for crashes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.crew: Crew | None = None  # of the new code, before it has proved itself
        self._generation = 1
        self._left: list[Slot] = []
        self._current: Slot | None = None

    @property
    def active(self) -> bool:
        return self.crew is not None or bool(self._left) or self._current is not None

    def start(self) -> None:
        """Begin, unless one is under way."""
        pool = self._pool
        if pool.stopping or self.active:
            pool.log.warning("a reload or a stop is under way; this reload is left out")
            return
        self._generation += 1
        pool.log.info("reload: loading the new code")
        self.crew = pool.new_crew(self._generation)
        self._left = list(pool.slots)
        if not pool.settings.overlap:
            return  # the old worker may only go when the new code is known to load
        self._next()

    def step(self, now: float) -> None:
        """Go on where nothing else calls: without overlap the next worker waits until the old one is gone."""
        if self._pool.stopping:
            self._left, self._current = [], None
            return
        crew = self.crew or self._pool.crew
        if self._left and self._current is None and (self._pool.settings.overlap or crew.loaded):
            self._next()
        current = self._current
        if current is not None and not self._pool.settings.overlap:
            if current.worker is None and not current.retiring and not current.waiting:
                crew.want(current)
            elif current.worker is not None and current.worker.generation == self._generation:
                self._finish_without_overlap(current.worker, current)

    def _finish_without_overlap(self, worker: Process, slot: Slot) -> None:
        if worker.stage is Stage.SERVING:
            self.took_over(worker, slot)

    def took_over(self, process: Process, slot: Slot) -> None:
        """The new worker of `slot` is ready: the old one may go, and so may the old crew."""
        pool, old = self._pool, slot.worker
        if old is not None and old is not process:
            pool.retire(old, pool.settings.stop_timeout, pool.settings.keep_alive + 1.0)
        slot.worker, slot.incoming = process, None
        if self.crew is not None:
            pool.crew.close()
            for waiting in pool.slots:
                if waiting.waiting and waiting.worker is None:
                    self.crew.want(waiting)
            pool.crew, self.crew = self.crew, None
        if self._current is slot:
            self._current = None
            if not self._left:
                pool.log.info("reload: done")

    def on_loss(self, process: Process) -> None:
        """A worker died in its slot: where that was the new one (without overlap), the old code comes back."""
        if process.slot is self._current and process.generation == self._generation:
            self.abort("a new worker didn't become ready")

    def abort(self, why: str) -> None:
        """Keep what serves now."""
        if not self.active:
            return
        self._pool.log.error(f"reload: given up, because {why}; the workers that serve now stay")
        self._left, self._current = [], None
        if self.crew is not None:
            self.crew.close()
            self.crew = None

    def _next(self) -> None:
        pool = self._pool
        self._current = slot = self._left.pop(0)
        crew = self.crew or pool.crew
        if slot not in pool.slots or slot.failed:
            slot.failed = ""  # new code is a new chance
            if slot not in pool.slots:
                self._current = None
                return
        if slot.worker is not None and not pool.settings.overlap:
            pool.retire(slot.worker, pool.settings.stop_timeout, pool.settings.keep_alive + 1.0)
        else:
            crew.want(slot)
