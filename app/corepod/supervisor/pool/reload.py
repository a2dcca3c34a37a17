"""A rolling reload: new code is loaded beside the old, and one slot after the other changes over to it.

What is still to do is read off the slots each time, so that the reload needn't be told what happens to a worker.
"""

from __future__ import annotations

from corepod.contract.record import Record
from corepod.supervisor.pool.backoff import BOOT_PAUSE, BOOT_TRIES
from corepod.supervisor.pool.restarts import Wait
from corepod.supervisor.pool.state import Slot, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.supervisor.pool.generation import Generation
    from corepod.supervisor.pool.state import Process

AFRESH = 1.0  # least seconds between two beginnings: a storm of HUPs must not start a storm of processes


class Want(Record):
    """The slot waits for a worker of the new code."""

    slot: Slot


class Retire(Record):
    """The worker of a slot drains; the slot waits for one of the new code when it has ended."""

    worker: Process


class Done(Record):
    """Every slot has a worker of the new code, or has been given up."""

    seconds: float


class Abort(Record):
    """The new code doesn't work."""

    why: str


class Reload:
    """`fresh` is the generation of the new code until a worker of it has been ready, which proves the code. As long as
    there is a fresh one, the old generation stays for crashes."""

    def __init__(self, *, overlap: bool) -> None:
        self._overlap = overlap
        self.active = False
        self.fresh: Generation | None = None
        self._number = 0  # of the generation that is rolled out
        self.asked, self.ended = 0, 0  # how many were asked for, and how many of these are over
        self.failure = ""  # why the last one that is over was given up, empty where it is done
        self._covered = 0  # how many were asked for when this one began
        self._begun = 0.0
        self._failures = 0

    def request(self) -> None:
        """Reload. What is under way ends first, unless nothing of it serves yet: then it begins anew."""
        self.asked += 1

    @property
    def is_over(self) -> bool:
        """Whether nothing that was asked for is still to come to its end."""
        return self.ended == self.asked

    def leave_out(self, why: str) -> None:
        """The pool stops: what is under way doesn't go on, and what was asked for doesn't begin."""
        self._covered = self.asked
        self._over(why)

    @property
    def _waits(self) -> bool:
        """Whether one that was asked for hasn't begun."""
        return self.asked > self._covered

    def deadline(self) -> float | None:
        """When one that waits may begin; at once where the one before has just come to its end."""
        if not self._waits:
            return None
        if not self.active:
            return self._begun
        return self._begun + AFRESH if self.fresh is not None else None

    def is_due(self, now: float) -> bool:
        """Whether a reload that was asked for may begin."""
        return self._waits and (not self.active or (self.fresh is not None and now >= self._begun + AFRESH))

    def begin(self, fresh: Generation, now: float) -> None:
        """Roll out this generation."""
        self.active, self.fresh, self._number = True, fresh, fresh.number
        self._covered, self._begun, self._failures = self.asked, now, 0

    def step(self, slots: Sequence[Slot], now: float) -> Want | Retire | Done | None:
        """Change the next slot over, when none is under way."""
        if not self.active or any(map(self._changing, slots)):
            return None
        # Those without a worker first: without overlap one of them is the slot whose turn it is.
        old = sorted((s for s in slots if not self.has_changed(s)), key=lambda s: s.worker is not None)
        if not old:
            self.active = False
            self._over("")
            return Done(now - self._begun)
        if self.fresh is not None and not self.fresh.loaded:
            return None  # until the new code is known to load, the slot is the old generation's
        worker = old[0].worker
        return Want(old[0]) if worker is None or self._overlap else Retire(worker)

    def on_ready(self, process: Process) -> Generation | None:
        """A worker is ready. Returns the fresh generation if this is its first one, which proves it."""
        if self.fresh is None or process.generation != self.fresh.number:
            return None
        proven, self.fresh = self.fresh, None
        return proven

    def on_failure(self, process: Process, slot: Slot) -> Wait | Abort | None:
        """A worker ended before it was ready. One of new code that is not proven yet ends the reload."""
        if not self.active or process.generation != self._number:
            return None
        self._failures += 1
        if self.fresh is not None or self._failures >= BOOT_TRIES:
            return Abort("a new worker didn't become ready")
        return Wait(BOOT_PAUSE) if slot.worker is not None else None

    def still_to_come(self, generation: Generation, slots: Sequence[Slot]) -> int:
        """How many slots don't wait yet for a worker of this generation, and will."""
        if not self.active or self.fresh is not None or generation.number != self._number:
            return 0
        return sum(not self.has_changed(s) and not self._changing(s) for s in slots)

    def lasted(self, now: float) -> float:
        """Seconds since the present one began, 0 where there is none."""
        return now - self._begun if self.active else 0.0

    def abort(self, why: str) -> Generation | None:
        """Give it up. Returns the fresh generation, if it wasn't proven yet."""
        self._over(why)
        return self.end()

    def _over(self, failure: str) -> None:
        self.ended, self.failure = self._covered, failure

    def end(self) -> Generation | None:
        """The reload begins anew. Returns the fresh generation, if it wasn't proven yet."""
        self.active, fresh, self.fresh = False, self.fresh, None
        return fresh

    def has_changed(self, slot: Slot) -> bool:
        """Whether the slot has a serving worker of the new code, or has been given up and needs none."""
        worker = slot.worker
        new = worker is not None and worker.generation == self._number and worker.stage is Stage.SERVING
        return new or bool(slot.failed)

    def _changing(self, slot: Slot) -> bool:
        worker = slot.worker
        if worker is None and self.fresh is not None:
            # Down with the old code, waiting for it perhaps or in a long pause: the new one may be what helps.
            return slot.waits_for == self._number or bool(slot.retiring)
        if worker is None:
            return not slot.failed
        starts = worker.generation == self._number and worker.stage is Stage.STARTING
        return starts or bool(slot.waits_for) or slot.incoming is not None or slot.retry_at is not None
