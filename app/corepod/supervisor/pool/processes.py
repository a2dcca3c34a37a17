"""Every process of the pool that isn't reaped yet, and what is done to them. The only user of the launcher."""

from __future__ import annotations

from corepod import __version__
from corepod.contract.messages import Activate, Drain, Lame, Load
from corepod.contract.sizing import LOAD, sizing
from corepod.supervisor.pool.generation import UNNEEDED
from corepod.supervisor.pool.orders import Dismiss, Forget, HandOver, Kill, MakeBootstrap, MakeFork
from corepod.supervisor.pool.state import Process, Stage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from corepod.contract.messages import InboxRequest, TurnRequest
    from corepod.contract.record import Record
    from corepod.supervisor.pool.generation import Generation
    from corepod.supervisor.pool.ports import Launcher, Scoreboard
    from corepod.supervisor.pool.state import Slot
    from corepod.supervisor.settings import Settings

LATE = "it didn't stop in time"
SILENT = "control closed: the application closes descriptors that aren't its own"


class Processes:
    """`living` has each of them whose pid is known, by pid."""

    def __init__(
        self,
        settings: Settings,
        launcher: Launcher,
        scoreboard: Scoreboard,
        slots: list[Slot],
        wall: Callable[[], float],
    ) -> None:
        self._settings, self._launcher, self._scoreboard = settings, launcher, scoreboard
        self._slots, self._wall = slots, wall
        self.living: dict[int, Process] = {}
        self._activated = 0
        self.readied = 0  # workers that have been ready
        self._least = 2 if sizing(settings.workers).mode == LOAD else 1  # a worker may get siblings at any time

    @property
    def free_records(self) -> int:
        """How many workers more the scoreboard has room for; the workers of several reloads may still drain."""
        return self._scoreboard.free

    def carry_out(self, generation: Generation, orders: Sequence[Record], now: float) -> None:
        """Do what a generation wants to be done. Where the system refuses a process, no others are asked for."""
        for order in orders:
            if isinstance(order, HandOver):
                self._activate(order.process, order.slot, now)
            elif isinstance(order, Dismiss):
                self.drain(order.process, order.within, 0.0, now)
            elif isinstance(order, Kill):
                self.kill(order.process, order.cause)
            elif isinstance(order, Forget):
                self.forget(order.process)
            elif isinstance(order, MakeFork | MakeBootstrap):
                try:
                    generation.add(self._make(order, generation.number, now))
                except OSError as error:
                    generation.refused(error.strerror or str(error), now)
                    return

    def _make(self, order: MakeFork | MakeBootstrap, generation: int, now: float) -> Process:
        if isinstance(order, MakeFork):
            process = Process(Stage.FORKING, generation, now, live=order.live, parent=order.template)
            self._launcher.fork(order.template, process, warm=order.warm)
            return process
        process = Process(Stage.LOADING, generation, now, live=order.live, templates=order.role == "template")
        load = Load(__version__, self._settings.values, order.role, order.live)
        self._register(process, self._launcher.spawn(process, load))
        return process

    def adopt(self, process: Process, pid: int) -> bool:
        """A fork has this pid, unless it is another's already, or no child of ours: that wouldn't be ours to kill."""
        if pid in self.living or not self._launcher.adopt(process, pid):
            return False
        self._register(process, pid)
        return True

    def forget(self, fork: Process) -> None:
        """Close the control socket of a fork whose pid isn't known."""
        self._launcher.close(fork)

    def _register(self, process: Process, pid: int) -> None:
        process.has_pid(pid)
        self.living[pid] = process

    def remove(self, pid: int) -> Process:
        """A process is reaped, and everything that it had said has been delivered."""
        process = self.living.pop(pid)
        self._launcher.close(process)
        return process

    # Workers

    def _activate(self, process: Process, slot: Slot, now: float) -> None:
        """Make an armed process the worker of `slot` (beside the old one in a reload)."""
        self._activated += 1
        process.take_place(slot, self._activated, self._scoreboard.acquire(), self._wall(), now)
        slots = max(len(self._slots), self._least)
        message = Activate(slot.number, process.number, slot.core, slot.restarts, process.record, slots)
        self._launcher.send(process, message)

    def ready(self, process: Process, now: float) -> None:
        self.readied += 1
        process.serve(self._wall(), now)

    def retire(self, process: Process, now: float) -> None:
        """Let a worker that has been replaced finish what it serves."""
        # A second more than idle connections may live: until then they close themselves, by agreement.
        self.drain(process, self._settings.stop_timeout, self._settings.keep_alive + 1.0, now)

    def drain(self, process: Process, within: float, linger: float, now: float) -> None:
        """Let a process finish what it serves, for `within` seconds; idle connections may stay for `linger` of them.
        A standby that isn't live has nothing to finish and is killed."""
        process.drain(within, now)
        if process.slot is None and not process.live:
            self.kill(process, UNNEEDED)
        else:
            self._launcher.send(process, Drain(within, min(linger, within)))

    def lame(self, process: Process) -> None:
        """Let a worker ask its clients to close their connections."""
        self._launcher.send(process, Lame())

    def dump_stacks(self, process: Process) -> None:
        """Let a worker write its stacks to the log."""
        self._launcher.dump_stacks(process)

    def kept_stacks(self, process: Process) -> str | None:
        """What a worker has written since its stacks were asked for, None where that is too long ago."""
        return self._launcher.kept_stacks(process)

    def answer(self, process: Process, request: InboxRequest) -> None:
        """Let a worker reach others."""
        if process.slot is not None:
            lost = process.slot.confess() if request.join else 0
            self._launcher.answer(process, request, len(self._slots), lost)

    def tell_turn(self, process: Process, request: TurnRequest) -> None:
        """Let a worker take its turn, or give it back."""
        self._launcher.send(process, request)

    def remove_inbox(self, slot: Slot) -> bool:
        """The slot is no more. Whether its inbox had messages that nobody will read."""
        return self._launcher.remove_inbox(slot.number)

    # Their end

    def kill(self, process: Process, cause: str) -> None:
        """End a process now; `cause` explains the exit that will be seen."""
        process.killed(cause)
        self._launcher.kill(process)

    def kill_all(self, cause: str) -> None:
        for process in self.living.values():
            self.kill(process, cause)

    def kill_late(self, now: float) -> None:
        """Kill what should have ended by now."""
        for process in self.living.values():
            if process.kill_at is not None and now >= process.kill_at:
                self.kill(process, LATE if process.stage is Stage.DRAINING or process.failure else SILENT)

    def deadline(self) -> float | None:
        """When `kill_late` has something to do."""
        return min((p.kill_at for p in self.living.values() if p.kill_at is not None), default=None)
