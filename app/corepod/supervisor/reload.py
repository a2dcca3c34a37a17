"""A rolling reload: new code is loaded beside the old, and one slot after the other changes over to it.

What is still to do is read off the slots each time: whatever happens to a worker meanwhile, nothing has to be told.
"""

from __future__ import annotations

from corepod.supervisor.policy import BOOT_PAUSE, BOOT_TRIES
from corepod.supervisor.process import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.crew import Crew
    from corepod.supervisor.pool import Pool
    from corepod.supervisor.process import Process
    from corepod.supervisor.slot import Slot

AFRESH = 1.0  # least seconds between two beginnings: a storm of HUPs must not start a storm of processes


class Reload:
    """Until the first new worker is ready, the old crew stays for crashes."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.crew: Crew | None = None  # of the new code, before it has proved itself
        self.active = False
        self._again = False  # asked for once more
        self._generation = 1
        self._begun = 0.0
        self._failures = 0

    def start(self) -> None:
        """Begin. What is under way ends first, unless nothing of it serves yet: then it begins anew."""
        if self._pool.stopping:
            self._pool.log.warning("the pool stops; this reload is left out")
        elif self.active:
            self._again = True
        else:
            self._begin()

    def deadline(self) -> float | None:
        return self._begun + AFRESH if self._again and self.crew is not None else None

    def step(self, now: float) -> None:
        """Change the next slot over, when none is under way."""
        if self._pool.stopping:
            return
        if self._again and (not self.active or (self.crew is not None and now >= self._begun + AFRESH)):
            self._drop_crew()
            self._begin()
        if not self.active or any(map(self._changing, self._pool.slots)):
            return
        # Those without a worker first: without overlap it's the one whose turn it is.
        old = sorted((s for s in self._pool.slots if not self._settled(s)), key=lambda s: s.worker is not None)
        if old:
            self._change(old[0])
        else:
            self.active = False
            self._pool.log.info(f"reload: done in {now - self._begun:.1f} s")

    def on_ready(self, process: Process) -> None:
        """A worker is ready: the first one of the new code proves it, and the old crew may go."""
        pool, crew = self._pool, self.crew
        if crew is None or process.generation != crew.generation:
            return
        old, pool.crew, self.crew = pool.crew, crew, None
        for slot in list(old.waiting):
            crew.want(slot)
        old.close()

    def on_failure(self, process: Process, slot: Slot, now: float) -> None:
        """A worker ended before it was ready. One of new code that is not proved yet ends the reload."""
        if not self.active or process.generation != self._generation:
            return
        self._failures += 1
        if self.crew is not None or self._failures >= BOOT_TRIES:
            self.abort("a new worker didn't become ready")
        elif slot.worker is not None:
            slot.retry_at = now + BOOT_PAUSE

    def abort(self, why: str) -> None:
        """Keep what serves now."""
        if not self.active:
            return
        self.active = False
        new = [str(s.number) for s in self._pool.slots if self._settled(s) and not s.failed]
        mixed = f" (new code in slot {', '.join(new)}; reload again to change the others)" if new else ""
        self._pool.log.error(f"reload: given up, because {why}; the workers that serve now stay{mixed}")
        self._drop_crew()

    def _begin(self) -> None:
        pool = self._pool
        self._generation += 1
        self.active, self._again, self._failures = True, False, 0
        self._begun = pool.loop.now()
        pool.log.info("reload: loading the new code")
        self.crew = pool.new_crew(self._generation)
        for slot in pool.slots:
            slot.forgive()  # new code is a new chance

    def _drop_crew(self) -> None:
        """Go back to the crew that has proved itself."""
        pool, crew, self.crew = self._pool, self.crew, None
        if crew is not None:
            for slot in list(crew.waiting):
                crew.forget(slot)
            crew.close()
            for slot in pool.slots:
                if slot.incoming is not None:
                    pool.retire(slot.incoming, pool.settings.stop_timeout, 0.0)
        for slot in pool.slots:
            if slot.idle:
                pool.crew.want(slot)

    def _settled(self, slot: Slot) -> bool:
        worker = slot.worker
        new = worker is not None and worker.generation == self._generation and worker.stage is Stage.SERVING
        return new or bool(slot.failed)

    def _changing(self, slot: Slot) -> bool:
        worker = slot.worker
        if self.crew is not None and worker is None:
            # Down with the old code, waiting for it perhaps or in a long pause: the new one may be what helps.
            return slot in self.crew.waiting or bool(slot.retiring)
        if worker is None:
            return not slot.failed and (not slot.idle or bool(slot.retiring))
        starts = worker.generation == self._generation and worker.stage is Stage.STARTING
        return starts or slot.waiting or slot.incoming is not None or slot.retry_at is not None

    def _change(self, slot: Slot) -> None:
        pool = self._pool
        crew = self.crew or pool.crew
        if not crew.source.loaded:
            return  # until the new code is known to load, the slot is the old crew's
        if slot.worker is None or pool.settings.overlap:
            pool.crew.forget(slot)
            crew.want(slot)
        else:
            pool.retire(slot.worker, pool.settings.stop_timeout, pool.settings.keep_alive + 1.0)
