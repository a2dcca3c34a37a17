"""Which worker makes way for a new one next: a pure decision from what is known of each. Times are seconds."""

from __future__ import annotations

from corepod.contract.record import Record
from corepod.contract.units import duration, size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

MEMORY, REQUESTS, AGE, SCHEDULE = "memory", "requests", "age", "schedule"
LEAST_LIFE = 5.0  # that a worker has served before it is replaced: a limit that is too low must not become a storm
LONGEST_LEAST_LIFE = 40.0  # where memory keeps being used up so fast
SHORT_LIFE = 60.0  # a worker that is too large before has grown fast
GROWN = 1.1  # times the memory it had when it was new: the successor of a smaller one would hardly be smaller
FIRST_PAUSE, LONGEST_PAUSE = 10.0, 600.0  # after a new worker that didn't get ready


class Worker(Record):
    """A worker that serves, and the limits that were chosen for it; a limit of 0 is none."""

    slot: int
    served: float  # seconds since it was ready
    least: float  # seconds it has to serve
    requests: int
    most_requests: int
    oldest: float  # seconds it may serve
    memory: int  # bytes: without what it shares with others, as far as that was looked at
    new_memory: int  # that it had when it was new
    scheduled: bool  # it is older than the last time of the schedule
    failures: int  # new workers for the slot that didn't get ready, in a row
    failed: float  # seconds since the last of them


class Limits(Record):
    """What holds for all of them."""

    memory: int  # bytes of a worker
    crowded: str  # where the control group has less room than it is to have: how much it uses, for people
    schedule: str  # the cron expression


class Choice(Record):
    """The worker of this slot makes way; `reason` for counting, `why` for people."""

    slot: int
    reason: str
    why: str


def decide(workers: Sequence[Worker], limits: Limits) -> Choice | None:
    """The next one, of those that are due the one that is most urgent: memory first and the largest one of these, then
    the one that has served longest."""
    due = [(_due(worker, limits), worker) for worker in workers if may_go(worker)]
    chosen = [(choice, worker) for choice, worker in due if choice is not None]
    if limits.crowded and not any(choice.reason == MEMORY for choice, _ in chosen):
        chosen += _makes_room(workers, limits.crowded)
    if not chosen:
        return None
    return max(chosen, key=lambda one: _urgency(*one))[0]


def _urgency(choice: Choice, worker: Worker) -> tuple[bool, float]:
    memory = choice.reason == MEMORY
    return memory, worker.memory if memory else worker.served


def may_go(worker: Worker) -> bool:
    """Whether it has served for a while, and a new worker hasn't failed to get ready just now."""
    return worker.served >= worker.least and may_try(worker.failures, worker.failed)


def may_try(failures: int, since: float) -> bool:
    """Whether it is time for another attempt at a new worker, so many seconds after the last of these failed."""
    return not failures or since >= pause_after(failures)


def pause_after(failures: int) -> float:
    """Seconds until the next attempt after so many that failed."""
    return min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(failures - 1, 16))


def least_life(fast: int) -> float:
    """Seconds that the next worker has to serve, where so many in a row were too large soon after they were ready."""
    return min(LONGEST_LEAST_LIFE, LEAST_LIFE * 2.0 ** min(fast, 16))


def has_grown(worker: Worker) -> bool:
    """Whether a new worker would be smaller."""
    return worker.memory > GROWN * worker.new_memory


def _due(worker: Worker, limits: Limits) -> Choice | None:
    if 0 < limits.memory < worker.memory and (worker.new_memory <= limits.memory or has_grown(worker)):
        why = f"it uses {size(worker.memory)} of memory of its own, and max_memory is {size(limits.memory)}"
        return Choice(worker.slot, MEMORY, why)
    if worker.most_requests and worker.requests >= worker.most_requests:
        why = f"it has served {worker.requests} requests, and its limit is {worker.most_requests}"
        return Choice(worker.slot, REQUESTS, why)
    if worker.oldest and worker.served >= worker.oldest:
        why = f"it has served for {duration(worker.served)}, and its limit is {duration(worker.oldest)}"
        return Choice(worker.slot, AGE, why)
    if worker.scheduled:
        return Choice(worker.slot, SCHEDULE, f"it is time by the schedule {limits.schedule}")
    return None


def _makes_room(workers: Sequence[Worker], crowded: str) -> list[tuple[Choice, Worker]]:
    """The largest worker, if it may go and that would help."""
    fit = [worker for worker in workers if may_go(worker) and has_grown(worker)]
    if not fit:
        return []
    largest = max(fit, key=lambda worker: worker.memory)
    why = f"the container's memory is short ({crowded}), and it is the largest worker with {size(largest.memory)}"
    return [(Choice(largest.slot, MEMORY, why), largest)]


def too_soon(workers: Sequence[Worker], limits: Limits) -> Choice | None:
    """One that is due before it has served for the least time: its limit is too low."""
    found = (_due(worker, limits) for worker in workers if worker.served < worker.least)
    return next((choice for choice in found if choice is not None), None)


def in_vain(workers: Sequence[Worker], limits: Limits) -> Worker | None:
    """One that was too large when it was new: its successor would be so, too."""
    old = (worker for worker in workers if worker.served >= worker.least)
    return next((worker for worker in old if 0 < limits.memory < min(worker.memory, worker.new_memory)), None)
