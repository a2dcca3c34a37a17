"""What a signal or the pool's owner asks for: reload, scale, restart a slot, dump stacks."""

from __future__ import annotations

from corepod.contract.sizing import FIXED, Sizing, sizing
from corepod.cpu import cores
from corepod.supervisor.launch import sockets
from corepod.supervisor.launch.placement import MOST_SLOTS
from corepod.supervisor.refusal import Refused, whole

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.launch.placement import Placement
    from corepod.supervisor.pool.pool import Pool
    from corepod.supervisor.pool.state import Process, Slot


class Steering:
    """Each method does its part at once, or begins it: what becomes of it shows in the status and in the events.

    Raises Refused where it isn't done. What is returned is for whoever asked.
    """

    def __init__(self, pool: Pool, placement: Placement, loop: Loop, log: StreamLog) -> None:
        self._pool, self._placement, self._loop, self._log = pool, placement, loop, log
        self._sizing = self._asked = sizing(pool.settings.workers)
        self.shown: dict[str, Any] = {}  # of the status
        self._show()

    @property
    def mode(self) -> str:
        """What the number of slots follows now: nothing, the usable cores or the load."""
        return self._sizing.mode

    @property
    def bounds(self) -> tuple[int, int]:
        """The least and the greatest number of slots."""
        return self._placement.bounds(self._sizing)

    def _show(self) -> None:
        least, most = self.bounds
        self.shown.update(mode=self.mode, least=least, most=most)

    def reload(self) -> dict[str, Any]:
        """A rolling reload. Its number is in the answer: it is over when `reloads.ended` of the status is as high."""
        number = self._pool.request_reload()
        if not number:
            raise Refused("the pool is stopping")
        return {"reload": number}

    def restart(self, number: str) -> dict[str, Any]:
        """A new worker for a slot. The answer has the number of the present worker: another one takes its place."""
        slot = self.slot(number)
        before = slot.worker.number if slot.worker else None
        if why := self._pool.restart(slot, "a restart was asked for", self._loop.now()):
            raise Refused(why)
        return {"slot": slot.number, "worker": before}

    def dump(self, number: str = "") -> dict[str, Any]:
        """The stacks of one slot's workers, or of all, go to the log, and for a while to whoever asks for `stacks`."""
        workers = self._workers(number)
        if not workers:
            raise Refused("there is no worker now")
        for process in workers:
            self._pool.processes.dump_stacks(process)
        return {"workers": [process.number for process in workers]}

    def stacks(self, number: str) -> dict[str, Any]:
        """What one slot's workers, or the pool's, have written since `dump`; no lines where nothing is kept."""
        found = []
        for process in self._workers(number):
            text = self._pool.processes.kept_stacks(process)
            about = {"worker": process.number, "slot": process.slot and process.slot.number, "pid": process.pid}
            found.append({**about, "lines": text.split("\n") if text else []})
        return {"workers": found}

    def _workers(self, number: str) -> list[Process]:
        slots = [self.slot(number)] if number else self._pool.slots
        return [process for slot in slots for process in slot.processes]

    def reopen_log(self) -> None:
        """Go on in the files that have the logs' names now: somebody has renamed the present ones."""
        access = self._pool.settings.access_log_file
        if self._log.file is None and not access:
            raise Refused("the log isn't a file of the pool's own (log_file), and can't be reopened")
        try:
            if access:
                from corepod.supervisor.launch import access_file  # loaded at the start

                access_file.make(self._pool.settings)  # workers notice it, and may not be allowed to make it
            if self._log.file is not None:
                self._log.file.reopen()
                self._log.info("the log file is reopened")
        except OSError as error:
            raise Refused(f"the log file can't be reopened ({error.strerror}); the present one is kept") from error

    def dump_or_reopen(self) -> None:
        """Reopen the logs where there are files: gunicorn's signal for that, which scripts of logrotate send, is that
        of a dump here. Those who want stacks have `corepod dump`."""
        if self._log.file is None and not self._pool.settings.access_log_file:
            self.dump()
        else:
            self.reopen_log()

    def scale(self, to: str) -> dict[str, Any]:
        """As many slots as `to` says, from now on: a number, +N or -N, or auto for what `workers` says where that is
        auto, too, and else for one on each usable core."""
        if self._pool.stopping:
            raise Refused("the pool is stopping")
        before = len(self._pool.slots)
        if to == "auto":
            follow = self._asked if self._asked.mode != FIXED else sizing("auto")
            least, most = self._placement.bounds(follow)
            wanted = min(max(before, least), most)
        else:
            wanted = self._wanted(to)
            follow = Sizing(FIXED, wanted, wanted)
        self.resize(wanted, "")
        self._sizing = follow
        self._show()
        return {"slots": wanted, "before": before}

    def resize(self, wanted: int, why: str, *, crowd: bool = True) -> None:
        """As many slots, because of `why`. With `crowd` also where workers then share cores that are to be their own.

        Raises Refused where it can't be done, or only in part.
        """
        try:
            if len(self._pool.slots) < wanted:
                self._grow(wanted, why, crowd)
            elif len(self._pool.slots) > wanted:
                self._shrink(wanted, why)
        finally:
            self._show()

    def _wanted(self, to: str) -> int:
        now = len(self._pool.slots)
        digits = to.lstrip("+-")
        number = whole(digits)
        if number is None or len(to) - len(digits) > 1:
            raise Refused(f"{to[:20]!r} is not a number of slots: write 4, +1, -1 or auto")
        wanted = now - number if to.startswith("-") else now + number if to.startswith("+") else number
        if not 1 <= wanted <= MOST_SLOTS:
            raise Refused(f"a pool has 1 to {MOST_SLOTS} slots; now {now}, and {wanted} are asked for")
        return wanted

    def _grow(self, wanted: int, why: str, crowd: bool) -> None:
        slots = self._pool.slots
        try:
            self._placement.make_room(wanted)
        except sockets.StartError as error:
            raise Refused(str(error)) from error
        where = []
        try:
            while len(slots) < wanted:
                core, complaint = self._placement.another([slot.core for slot in slots])
                if core is None and self._placement.pins and not crowd:
                    raise Refused("no core is free for another worker")
                if complaint:
                    self._log.warning(complaint)
                self._pool.add_slot(core)
                where.append(core)
        finally:
            if where:
                added = f"added {_slots(len(where))} ({_cores(where)})"
                self._log.info(f"{added}; there are now {len(slots)}{_because(why)}", event="scaled")

    def _shrink(self, wanted: int, why: str) -> None:
        before = len(self._pool.slots)
        while len(self._pool.slots) > wanted:
            self._placement.give_back(self._pool.slots[-1].core)
            self._pool.remove_slot(self._loop.now())
        removed = f"removed {_slots(before - wanted)}"
        self._log.info(f"{removed}; there are now {wanted}{_because(why)}", event="scaled")

    def slot(self, number: str) -> Slot:
        """The slot that a client has named. Raises Refused where there is none."""
        slots = self._pool.slots
        found = whole(number)
        if found is None or found >= len(slots):
            named = number[:20] or "(none was named)"
            raise Refused(f"there is no slot {named}: the pool has slots 0 to {len(slots) - 1}")
        return slots[found]


def _slots(count: int) -> str:
    return "a slot" if count == 1 else f"{count} slots"


def _cores(found: list[int | None]) -> str:
    pinned = [core for core in found if core is not None]
    names = [f"core{'s' if len(pinned) > 1 else ''} {cores.format_list(pinned)}"] if pinned else []
    return ", ".join(names + (["not pinned"] if None in found else []))


def _because(why: str) -> str:
    return f": {why}" if why else ""
