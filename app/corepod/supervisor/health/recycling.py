"""The look at what workers have reached, in a pool that recycles them. Other pools don't load this."""

from __future__ import annotations

import time

from corepod.contract.scoreboard import REQUESTS
from corepod.contract.units import size
from corepod.supervisor.health.memory import ControlGroup, Estimate
from corepod.supervisor.pool import recycle
from corepod.supervisor.pool.recycle import MEMORY, Limits, Worker
from corepod.supervisor.pool.state import Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.contract.cron import Cron
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.recycle import Choice
    from corepod.supervisor.pool.state import Process, Slot

SOON = 1.0  # seconds between two looks where requests are counted, or something is due
SELDOM = 5.0  # between two looks at memory that is far from its limit
NEAR = 0.8  # of a limit: from there on the looks come SOON
LONGEST = 60.0  # the clock of the wall may be set while the schedule is waited for
SETTINGS = {reason: f"max_{reason}" for reason in (MEMORY, recycle.REQUESTS, recycle.AGE)}


class Seen:
    """What is kept of a worker: its limits, which are chosen once, and its memory."""

    __slots__ = ("estimate", "memory", "most_requests", "new_memory", "oldest")

    def __init__(self, most_requests: int, oldest: float) -> None:
        self.most_requests, self.oldest = most_requests, oldest
        self.estimate = Estimate()
        self.memory = self.new_memory = 0


class Recycling:
    """Asks the pool for a new worker where one has reached a limit. `next_at` is the next time of the schedule."""

    def __init__(
        self,
        pool: Pool,
        scoreboard: SharedScoreboard,
        log: StreamLog,
        random: Callable[[], float],
        now: float,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._pool, self._settings = pool, pool.settings
        self._scoreboard, self._log, self._random, self._wall = scoreboard, log, random, wall
        limit = self._settings.max_memory
        self._share = int(limit.rstrip("%")) / 100 if isinstance(limit, str) else 0.0
        self._bytes = 0 if isinstance(limit, str) else limit
        self._group = ControlGroup() if self._share else None
        self._seen: dict[Process, Seen] = {}
        self._fast: dict[int, int] = {}  # by slot: how often in a row a worker was too large soon
        self._told: set[str] = set()
        self._cron: Cron | None = None
        self.next_at: float | None = None
        self._scheduled = 0.0  # when it was time last
        self._readied = -1
        self._at = self._sample_at = now
        if self._settings.recycle_at:
            self._begin_schedule()

    def _begin_schedule(self) -> None:
        from corepod.contract import cron

        self._cron = cron.parse(self._settings.recycle_at)
        self.next_at = cron.next_after(self._cron, self._wall())

    def deadline(self) -> float | None:
        return None if self._pool.stopping else self._at

    def look(self, now: float) -> None:
        """Look at the workers if it is time, or if one has got ready: its memory is that of a new one then."""
        if self._pool.stopping or (now < self._at and self._readied == self._pool.processes.readied):
            return
        self._readied = self._pool.processes.readied
        self._pass_schedule(now)
        serving = [slot for slot in self._pool.slots if _serves(slot)]
        self._keep(serving)
        crowded, near = self._sample(serving, now)
        workers = [self._facts(slot, now) for slot in serving]
        limits = Limits(self._bytes, crowded, self._settings.recycle_at)
        choice = recycle.decide(workers, limits)
        if choice is not None:
            self._replace(choice, now)
        soon = recycle.too_soon(workers, limits)
        self._tell(workers, limits, soon)
        self._at = now + self._pause(workers, now, near=near or choice is not None or soon is not None)

    def _replace(self, choice: Choice, now: float) -> None:
        slot = next(slot for slot in self._pool.slots if slot.number == choice.slot)
        fast = slot.worker is not None and slot.worker.served(now) < recycle.SHORT_LIFE
        not_now = self._pool.recycle(slot, choice.reason, choice.why, now, urgent=choice.reason == MEMORY)
        if choice.reason == MEMORY and not not_now:
            self._fast[slot.number] = self._fast.get(slot.number, 0) + 1 if fast else 0

    # Facts

    def _facts(self, slot: Slot, now: float) -> Worker:
        worker = slot.worker
        assert worker is not None
        seen = self._seen[worker]
        return Worker(
            slot=slot.number,
            served=worker.served(now),
            least=recycle.least_life(self._fast.get(slot.number, 0)),
            requests=self._scoreboard.word(worker.record, REQUESTS),
            most_requests=seen.most_requests,
            oldest=seen.oldest,
            memory=seen.memory,
            new_memory=seen.new_memory,
            scheduled=worker.since < self._scheduled,
            failures=slot.replace_failures,
            failed=now - slot.replace_failed_at,
        )

    def _keep(self, serving: list[Slot]) -> None:
        workers = [slot.worker for slot in serving if slot.worker is not None]
        self._seen = {worker: self._seen.get(worker) or self._new() for worker in workers}

    def _new(self) -> Seen:
        of = self._settings
        requests = of.max_requests and of.max_requests + round(self._random() * of.max_requests_jitter)
        return Seen(requests, of.max_age and of.max_age + self._random() * of.max_age_jitter)

    def _sample(self, serving: list[Slot], now: float) -> tuple[str, bool]:
        """Read the memory of new workers, and of all if it is time. Returns how crowded the container is, for people,
        and whether a limit is near."""
        if not self._bytes and not self._share:
            return "", False
        due = now >= self._sample_at
        for slot in serving:
            if slot.worker is not None and (due or not self._seen[slot.worker].memory):
                seen = self._seen[slot.worker]
                seen.memory = seen.estimate.look(slot.worker.pid, self._bytes)
                seen.new_memory = seen.new_memory or seen.memory
        if self._group is not None:
            crowded, near = self._crowded(self._group)
        else:
            crowded, near = "", any(seen.memory > NEAR * self._bytes for seen in self._seen.values())
        if due:
            self._sample_at = now + (SOON if near else SELDOM)
        return crowded, near

    def _crowded(self, group: ControlGroup) -> tuple[str, bool]:
        use = group.fullest()
        if use is None:
            self._tell_once("limit", "has no effect: the container has no limit of memory. Set one, or write bytes")
            return "", False
        used, limit = use
        share = used / limit
        # What drains is about to give its memory back.
        over = share > self._share and not any(slot.retiring for slot in self._pool.slots)
        text = f"{size(used)} of {size(limit)} are in use, and max_memory is {self._settings.max_memory}"
        return text if over else "", share > NEAR * self._share

    # Time

    def _pass_schedule(self, now: float) -> None:
        if self._cron is None or self.next_at is None or self._wall() < self.next_at:
            return
        from corepod.contract import cron

        self._scheduled, self.next_at = now, cron.next_after(self._cron, self._wall())

    def _pause(self, workers: list[Worker], now: float, *, near: bool) -> float:
        if near or self._settings.max_requests:
            return SOON
        pauses = [worker.oldest - worker.served for worker in workers if worker.oldest]
        if self._bytes or self._share:
            pauses.append(self._sample_at - now)
        if self.next_at is not None:
            pauses.append(self.next_at - self._wall())
        return max(0.1, min([*pauses, LONGEST]))

    # What is wrong with the limits

    def _tell(self, workers: list[Worker], limits: Limits, soon: Choice | None) -> None:
        if soon is not None and soon.reason in SETTINGS:
            least = min(worker.least for worker in workers)
            name = SETTINGS[soon.reason]
            self._tell_once(
                soon.reason,
                f"is reached too soon: {soon.why}, but a worker serves for at least {least:g} s. Raise {name}",
                name,
            )
        if (large := recycle.in_vain(workers, limits)) is not None:
            self._tell_once(
                "vain",
                f"({size(self._bytes)}) is less than a new worker needs, which is {size(large.new_memory)}: a worker "
                "isn't replaced before it has grown. Raise max_memory",
            )
        old = [worker for worker in workers if worker.served >= worker.least]
        if limits.crowded and len(old) == len(self._pool.slots) and not any(map(recycle.has_grown, old)):
            self._tell_once(
                "crowded",
                f"is exceeded ({limits.crowded}), but no worker has grown since it was new: something else uses the "
                "memory, or the limit is too low for this number of workers",
            )

    def _tell_once(self, what: str, text: str, name: str = "max_memory") -> None:
        if what not in self._told:
            self._told.add(what)
            self._log.warning(f"{name} {text}")


def _serves(slot: Slot) -> bool:
    worker = slot.worker
    return worker is not None and worker.stage is Stage.SERVING and not worker.cause
