"""More or fewer slots by load: a decision from facts and the time, without I/O.

It grows fast, because requests wait or are refused meanwhile, and shrinks slowly, because a slot too many costs only
memory. The thresholds are far apart, so that what one step changes never asks for the opposite step.
"""

from __future__ import annotations

from corepod.contract.record import Record

BUSY = 0.8  # share of its core that the average worker uses, above which there are too few
IDLE = 0.5  # ... that it would use with one slot less, below which there is one too many
LOOKS_QUEUED = 2  # looks in a row at which requests wait, before slots are added
LOOKS_BUSY = 3  # ... at which workers are busy: a single long request isn't load
GROW_PAUSE = 2.0  # seconds after slots were added: their share of the load shows only then
CALM = 60.0  # seconds without need for it before a slot is removed
LONGEST_CALM = 600.0  # ... at most: it doubles each time the slot was needed again soon


class Facts(Record):
    """One look. `queued`: connections that wait to be accepted and requests that wait for a thread. `busy`: average
    share of a core that the workers used in the last second, 0 to 1. `shed`: requests refused since the last look.
    `steady`: every slot that hasn't been given up has a worker that serves."""

    slots: int
    queued: int
    busy: float
    shed: int
    steady: bool


class Autoscale:
    """`least` and `most` slots; there may be more or fewer when it begins."""

    def __init__(self, least: int, most: int) -> None:
        self.least, self.most = least, max(least, most)
        self.calm = CALM
        self._queued = self._busy = 0  # looks in a row
        self._calm_since: float | None = None
        self._changed = self._shrunk = -LONGEST_CALM

    def decide(self, facts: Facts, now: float) -> int:
        """How many slots there should be."""
        if facts.slots != (bounded := min(max(facts.slots, self.least), self.most)):
            return self._change(bounded, now)
        self._count(facts, now)
        if not facts.steady or now - self._changed < GROW_PAUSE:
            return facts.slots
        if facts.slots < self.most and (self._queued >= LOOKS_QUEUED or self._busy >= LOOKS_BUSY or facts.shed):
            if now - self._shrunk < self.calm:  # it was needed after all
                self.calm = min(2 * self.calm, LONGEST_CALM)
            return self._change(min(self.most, facts.slots + (facts.slots + 1) // 2), now)
        if facts.slots > self.least and self._calm_since is not None and now - self._calm_since >= self.calm:
            if now - self._shrunk >= 2 * self.calm:
                self.calm = CALM
            self._shrunk = now
            return self._change(facts.slots - 1, now)
        return facts.slots

    def _count(self, facts: Facts, now: float) -> None:
        self._queued = self._queued + 1 if facts.queued else 0
        self._busy = self._busy + 1 if facts.busy >= BUSY else 0
        needed = facts.queued or facts.shed or facts.busy * facts.slots >= IDLE * (facts.slots - 1)
        if needed or not facts.steady:
            self._calm_since = None
        elif self._calm_since is None:
            self._calm_since = now

    def _change(self, slots: int, now: float) -> int:
        self._changed, self._calm_since = now, None
        self._queued = self._busy = 0
        return slots
