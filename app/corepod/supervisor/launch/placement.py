"""How many slots there are and which core each has."""

from __future__ import annotations

import resource
import select

from corepod.contract.exits import EXIT_SETTINGS
from corepod.contract.sizing import CORES, sizing
from corepod.cpu import claims, cores, pinning
from corepod.supervisor.launch.sockets import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.contract.sizing import Sizing
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.settings import Settings

MOST_SLOTS = 512  # twice as many workers, in a reload, still fit on the scoreboard


class Placement:
    """The cores of a pool's slots.

    Raises StartError where settings and machine don't fit together.
    """

    def __init__(self, settings: Settings, loop: Loop) -> None:
        self._loop = loop
        self.shown: dict[str, Any] = {}  # of the status
        self.use(cores.usable())
        self._pin = settings.pin
        self._claims = claims.CoreClaims()
        self._local = not pinning.in_container()
        self.capped = ""  # why there are fewer slots than usable cores, where nobody has asked for that
        if settings.workers == "auto" and len(self.usable.cores) > MOST_SLOTS:
            self.capped = f"{len(self.usable.cores)} cores are usable, and a pool has at most {MOST_SLOTS} workers"
        slots = _slots(settings.workers, settings.pin, self.usable)
        self.cores, self.why_not = pinning.assign(
            self.usable, slots, settings.pin, not self._local, self._claims.claim, self._claims.squatter
        )
        rivals = [claims.ignored(core, who) for core, who in self._claims.rivals().items()]
        self.why_not = "; ".join([*rivals, *([self.why_not] if self.why_not else [])])
        for core in self._claims.held:
            self._watch(core)
        self._standbys = settings.standbys
        self.make_room(slots)

    def make_room(self, slots: int) -> None:
        """Raise the limit of open files as far as this many slots need it.

        Raises StartError where that isn't allowed.
        """
        _make_room_for_files(slots, self._standbys)

    def use(self, usable: cores.Usable) -> None:
        """These are the cores from now on. Slots have theirs until they are given others (`reassign`)."""
        self.usable = usable
        self.shown.update(usable=list(usable.cores), limit=usable.limit)

    @property
    def pins(self) -> bool:
        """Whether each slot is to have a core of its own."""
        return self._pin == "always" or (self._pin == "auto" and self._local)

    def bounds(self, sizing: Sizing) -> tuple[int, int]:
        """The least and the greatest number of slots that a setting asks for here. Pinned workers share no core."""
        room = min(len(self.usable.cores), MOST_SLOTS)
        if sizing.mode == CORES:
            return room, room
        if sizing.most is None:
            return sizing.least, max(sizing.least, room)
        most = min(sizing.most, MOST_SLOTS)
        return sizing.least, most if self._pin == "never" else max(sizing.least, min(most, room))

    def reassign(self, before: list[int | None]) -> list[int | None]:
        """The cores of as many slots, now that others may be used: each slot keeps its own if it can."""
        if self._pin == "never":
            return before
        allowed = self.usable.allowed
        shared = not self.pins and len(allowed) != len(before)  # with others, as `pinning.assign` says
        for core in before:
            if shared or core not in allowed:
                self.give_back(core)
        if shared:
            return [None] * len(before)
        after = [core if core in allowed else None for core in before]
        for number, core in enumerate(after):
            if core is None:
                after[number] = self._take(after)[0]
        return after

    def another(self, taken: list[int | None]) -> tuple[int | None, str]:
        """A core for another slot, None where no core is free for it, and what is to be said about it."""
        return self._take(taken) if self.pins else (None, "")

    def _take(self, taken: list[int | None]) -> tuple[int | None, str]:
        free = [core for core in self.usable.allowed if core not in taken]
        if self._pin == "always":
            return (free[0] if free else None), ""
        try:
            core = next((core for core in free if self._claims.claim(core)), None)
        except OSError:  # cores can't be claimed here: in a container nobody else is seen on them either
            return (free[0] if free and not self._local else None), ""
        if core is not None:
            self._watch(core)
            return core, ""
        squatted = ((core, self._claims.squatter(core)) for core in free)
        core, who = next(((core, who) for core, who in squatted if who), (None, ""))
        return core, claims.ignored(core, who) if core is not None else ""

    def give_back(self, core: int | None) -> None:
        """A slot is gone: other pools may have its core."""
        if core in self._claims.held:
            self._loop.remove(self._claims.held[core].fileno())
            self._claims.release(core)

    def _watch(self, core: int) -> None:
        claimed = self._claims.held[core]
        self._loop.add(claimed.fileno(), select.EPOLLIN, lambda mask: claims.forget_visitors(claimed))


def slots_within_limits(settings: Settings) -> int:
    """How many slots a pool of these settings has here, without taking cores for them.

    Raises StartError where there are too many, or limits are too low.
    """
    slots = _slots(settings.workers, settings.pin, cores.usable())
    _make_room_for_files(slots, settings.standbys)
    return slots


def _slots(workers: str | int, pin: str, usable: cores.Usable) -> int:
    """How many slots a pool begins with."""
    asked = sizing(workers)
    slots = min(len(usable.cores), MOST_SLOTS) if asked.mode == CORES else asked.least
    if slots > MOST_SLOTS:
        raise StartError(f"{slots} workers are asked for, but a pool has {MOST_SLOTS} at most (workers)", EXIT_SETTINGS)
    if slots > len(usable.cores) and pin != "never":
        raise StartError(
            f"{slots} workers are asked for (workers), but {len(usable.cores)} "
            f"{'core is' if len(usable.cores) == 1 else 'cores are'} usable here (limit: {usable.limit}); "
            "use --workers auto, or --pin never to let workers share cores",
            EXIT_SETTINGS,
        )
    return slots


def _make_room_for_files(slots: int, standbys: int) -> None:
    # A socket, three pipes and a pidfd for each process (in a reload two a slot), the claim of each slot's core,
    # sixteen connections of the admin port, and the pool's own. The usual soft limit of 1024 is there for select(2),
    # which isn't used here.
    needed = 36 + slots + 5 * (2 * (slots + standbys) + 1)
    wanted = needed + 4 * (slots + standbys)  # with both ends of a slot's inbox, and one of each worker's own
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise StartError(
            f"the limit of {hard} open files is too low for {slots} worker(s): at least {needed} are needed; "
            "raise it (ulimit -n, or LimitNOFILE= of the service)",
            EXIT_SETTINGS,
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
