"""The number of slots and their cores follow what may change while the pool runs: the cores that may be used, and the
load where `workers` asks for that."""

from __future__ import annotations

import os

from corepod.contract.scoreboard import SHED, SHED_LATE, WAITING
from corepod.contract.sizing import CORES, FIXED, LOAD
from corepod.cpu import cores, pinning
from corepod.cpu.watch import Allowance, Settled
from corepod.supervisor.launch import sockets
from corepod.supervisor.pool.state import Stage
from corepod.supervisor.refusal import Refused

TYPE_CHECKING = False
if TYPE_CHECKING:
    from socket import socket

    from corepod.supervisor.health.checks import Checks
    from corepod.supervisor.health.scoreboard import SharedScoreboard
    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.launch.placement import Placement
    from corepod.supervisor.pool.autoscale import Autoscale
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Process, Slot
    from corepod.supervisor.steering import Steering

CORES_LOOK = 4.0  # seconds between two looks at the cores: with those at the workers, which come every five
LOAD_LOOK = 1.0  # ... at the load, where it decides
HOLD = 3.0  # seconds for which other cores must be there before the pool follows


class Scaling:
    """Looks when the loop turns anyway, and changes slots through `Steering`. Does nothing during a reload."""

    def __init__(
        self,
        pool: Pool,
        placement: Placement,
        steering: Steering,
        checks: Checks,
        scoreboard: SharedScoreboard,
        listeners: list[socket],
        log: StreamLog,
    ) -> None:
        self._pool, self._placement, self._steering = pool, placement, steering
        self._checks, self._scoreboard, self._listeners, self._log = checks, scoreboard, listeners, log
        self._allowance = Allowance()
        self._cores = Settled(self._allowance.look(), HOLD)
        self._looked = self._sampled = 0.0
        self._verify = False  # workers that were about to start when cores changed pin themselves as they were told
        self._autoscale: Autoscale | None = None
        self._shed = 0

    def deadline(self) -> float | None:
        """When it has to look, where nothing else would wake the loop in time."""
        if self._pool.stopping:
            return None
        times = [self._due, self._sampled + LOAD_LOOK if self._steering.mode == LOAD else None]
        return min((t for t in times if t is not None), default=None)

    def look(self, now: float) -> None:
        """Follow what has changed."""
        if self._pool.stopping:
            return
        if now - self._looked >= CORES_LOOK or (self._due is not None and now >= self._due):
            self._looked = now
            self._look_at_cores(now)
        if self._steering.mode != LOAD:
            self._autoscale = None
        elif now - self._sampled >= LOAD_LOOK:
            self._sampled = now
            self._look_at_load(now)

    # The cores

    @property
    def _due(self) -> float | None:
        """When other cores have been there for long enough. A reload may then have to end first."""
        due = self._cores.due
        return None if due is None else max(due, self._looked + 1.0)

    def _look_at_cores(self, now: float) -> None:
        if self._cores.see(self._allowance.look(), now) and not self._pool.generations.reloading:
            self._cores.accept()
            before, found = self._placement.usable, cores.usable()
            self._placement.use(found)
            self._pool.generations.use(len(found.cores))
            if (found.allowed, found.cores) != (before.allowed, before.cores):
                shown = cores.format_list(found.cores)
                self._log.info(f"usable cores are now {shown} (limit: {found.limit})", event="cores")
                self._follow(now)
        elif self._verify:
            self._verify = False
            self._pin_all(now)

    def _follow(self, now: float) -> None:
        self._autoscale = None  # its bounds may be others
        least, most = self._steering.bounds
        wanted = min(max(len(self._pool.slots), least), most)
        if self._steering.mode == CORES:
            wanted = most
        if self._steering.mode != FIXED:
            self._resize(wanted, "the usable cores have changed")
        slots = self._pool.slots
        for slot, core in zip(slots, self._placement.reassign([slot.core for slot in slots]), strict=True):
            if core != slot.core:
                where = f"on core {core}" if core is not None else "not pinned"
                self._log.info(f"slot {slot.number} is {where} from now on")
                slot.move(core)
        if without := [str(slot.number) for slot in slots if slot.core is None and self._placement.pins]:
            self._log.warning(f"slot {', '.join(without)}: not pinned, because no core is left for it")
        self._pin_all(now)
        self._verify = True

    def _pin_all(self, now: float) -> None:
        """Every process where it belongs: workers on their cores, the others on all."""
        for slot in self._pool.slots:
            for process in slot.processes:
                self._pin(slot, process, now)
        for process in self._pool.processes.living.values():
            if process.slot is None:
                self._spread(process)

    def _pin(self, slot: Slot, process: Process, now: float) -> None:
        if slot.core is None:
            self._spread(process)
        elif _affinity(process.pid) != {slot.core} and (why := pinning.pin(slot.core, process.pid)):
            # Its successor pins itself.
            self._log.warning(f"can't be moved: {why}", **process.who)
            if process is slot.worker:
                self._pool.restart(slot, "its core is another one now", now)

    def _spread(self, process: Process) -> None:
        allowed = set(self._placement.usable.allowed)
        if process.pid and _affinity(process.pid) != allowed:
            pinning.spread(allowed, process.pid)

    # The load

    def _look_at_load(self, now: float) -> None:
        if self._pool.generations.reloading:
            return
        from corepod.supervisor.pool.autoscale import Autoscale, Facts  # costs nothing where nobody asks for it

        if self._autoscale is None:
            self._autoscale = Autoscale(*self._steering.bounds)
        slots = self._pool.slots
        workers = [slot.worker for slot in slots if slot.worker and slot.worker.stage is Stage.SERVING]
        busy = [self._checks.busy(worker, now) for worker in workers]
        shed = sum(slot.totals[SHED] + slot.totals[SHED_LATE] for slot in slots) + sum(
            self._scoreboard.word(process.record, word)
            for slot in slots
            for process in slot.processes
            for word in (SHED, SHED_LATE)
        )
        facts = Facts(
            slots=len(slots),
            queued=sum(queue["length"] for sock in self._listeners if (queue := sockets.queue(sock)))
            + sum(self._scoreboard.word(worker.record, WAITING) for worker in workers),
            busy=sum(busy) / len(busy) if busy else 0.0,
            shed=max(0, shed - self._shed),
            steady=bool(workers) and all(slot.failed or slot.worker in workers for slot in slots),
        )
        self._shed = shed
        wanted = self._autoscale.decide(facts, now)
        if wanted != len(slots):
            waiting = f"{facts.queued} waiting, " if facts.queued else ""
            refused = f"{facts.shed} refused, " if facts.shed else ""
            self._resize(wanted, f"{waiting}{refused}workers {facts.busy:.0%} busy")

    def _resize(self, wanted: int, why: str) -> None:
        try:
            self._steering.resize(wanted, why, crowd=False)
        except Refused as refused:
            if self._autoscale is not None:
                self._autoscale.most = max(self._autoscale.least, len(self._pool.slots))
            self._log.warning(f"no more slots are added: {refused}")


def _affinity(pid: int) -> set[int]:
    try:
        return os.sched_getaffinity(pid)
    except OSError:  # it is gone, or a sandbox lacks the call
        return set()
