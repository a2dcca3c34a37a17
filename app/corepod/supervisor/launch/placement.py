"""How many slots there are and which core each has."""

from __future__ import annotations

import resource

from corepod.contract.exits import EXIT_SETTINGS
from corepod.cpu import cores, pinning
from corepod.supervisor.launch.sockets import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

MOST_SLOTS = 512  # twice as many workers, in a reload, still fit on the scoreboard


class Placement:
    """The cores of a pool's slots.

    Raises StartError where settings and machine don't fit together.
    """

    def __init__(self, settings: Settings) -> None:
        self.usable = cores.usable()
        self._pin = settings.pin
        self._claims = pinning.CoreClaims()
        self._local = not pinning.in_container()
        self.capped = ""  # why there are fewer slots than usable cores, where nobody has asked for that
        if settings.workers == "auto" and len(self.usable.cores) > MOST_SLOTS:
            self.capped = f"{len(self.usable.cores)} cores are usable, and a pool has at most {MOST_SLOTS} workers"
        slots = _slots(settings, self.usable)
        self.cores, self.why_not = pinning.assign(self.usable, slots, settings.pin, not self._local, self._claims.claim)
        self._standbys = settings.standbys
        self.make_room(slots)

    def make_room(self, slots: int) -> None:
        """Raise the limit of open files as far as this many slots need it.

        Raises StartError where that isn't allowed.
        """
        _make_room_for_files(slots, self._standbys)

    def another(self, taken: list[int | None]) -> int | None:
        """A core for another slot, None where no core is free for it."""
        free = [core for core in self.usable.allowed if core not in taken]
        if self._pin == "never" or (self._pin == "auto" and not self._local):
            return None
        if self._pin == "always":
            return free[0] if free else None
        return next((core for core in free if self._claims.claim(core)), None)

    def give_back(self, core: int | None) -> None:
        """A slot is gone: other pools may have its core."""
        if core is not None:
            self._claims.release(core)


def _slots(settings: Settings, usable: cores.Usable) -> int:
    slots = min(len(usable.cores), MOST_SLOTS) if settings.workers == "auto" else int(settings.workers)
    if slots > MOST_SLOTS:
        raise StartError(f"{slots} workers are asked for, but a pool has {MOST_SLOTS} at most (workers)", EXIT_SETTINGS)
    if slots > len(usable.cores) and settings.pin != "never":
        raise StartError(
            f"{slots} workers are asked for (workers), but {len(usable.cores)} "
            f"{'core is' if len(usable.cores) == 1 else 'cores are'} usable here (limit: {usable.limit}); "
            "use --workers auto, or --pin never to let workers share cores",
            EXIT_SETTINGS,
        )
    return slots


def _make_room_for_files(slots: int, standbys: int) -> None:
    # A socket and three pipes for each process (in a reload two a slot), the claim of each slot's core, sixteen
    # connections of the admin port, and the pool's own. The usual soft limit of 1024 is there for select(2), which
    # isn't used here.
    needed = 36 + slots + 4 * (2 * (slots + standbys) + 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise StartError(
            f"the limit of {hard} open files is too low for {slots} worker(s): at least {needed} are needed; "
            "raise it (ulimit -n, or LimitNOFILE= of the service)",
            EXIT_SETTINGS,
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
