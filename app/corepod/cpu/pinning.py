"""Which slot gets which core, without stacking on those of other pools, and pinning to it."""

from __future__ import annotations

import errno
import os
import socket

from corepod.cpu.cores import format_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.cpu.cores import Usable

PIN_PASSES = 8  # more than it takes; a process that never stops making threads must not hold PID 1
CONTAINER_FILES = (".dockerenv", "run/.containerenv")


def in_container(root: str = "/") -> bool:
    """Whether others may be on the same cores without being seen from here."""
    return (
        os.getpid() == 1
        or "KUBERNETES_SERVICE_HOST" in os.environ
        or any(os.path.exists(f"{root}/{name}") for name in CONTAINER_FILES)
    )


def assign(
    usable: Usable, slots: int, mode: str, container: bool, claim: Callable[[int], bool]
) -> tuple[list[int | None], str]:
    """The core of each slot (None: not pinned), and why, where that isn't the user's wish.

    `mode` is the setting `pin`. `claim` says whether this pool got a core, and keeps it
    (`CoreClaims.claim`). Cores are chosen before the quota's cut: were they the first of it, all
    containers with a quota of one core, which see every core of the node, would share core 0.
    """
    cores = usable.allowed
    if mode == "never":
        return [None] * slots, ""
    if mode == "always":
        return _fill(list(cores[:slots]), slots, f"only cores {format_list(cores)} may be used")
    if container and len(cores) != slots:
        return _fill(
            [],
            slots,
            f"cores {format_list(cores)} may be shared with other containers, because their number differs "
            "from that of the slots; give this container cores of its own, or set pin to always",
        )
    if container:
        return list(cores), ""
    return _claimed(cores, slots, claim)


def _claimed(cores: tuple[int, ...], slots: int, claim: Callable[[int], bool]) -> tuple[list[int | None], str]:
    got: list[int] = []
    others: list[int] = []
    for core in cores:
        if len(got) == slots:
            break
        try:
            (got if claim(core) else others).append(core)
        except OSError as error:
            why = error.strerror or "refused"
            return _fill(got, slots, f"cores can't be claimed here ({why}); set pin to always")
    why = f"only cores {format_list(cores)} may be used"
    if others:
        why += f", and other pools hold {format_list(others)}"
    return _fill(got, slots, why)


def _fill(got: list[int], slots: int, why: str) -> tuple[list[int | None], str]:
    """Slots without a core come last."""
    missing = range(len(got), slots)
    if not missing:
        return list(got), ""
    names = f"slot {missing[0]} is" if len(missing) == 1 else f"slots {format_list(missing)} are"
    return [*got, *(None for _ in missing)], f"{names} not pinned: {why}"


class CoreClaims:
    """The cores that this pool has claimed, for as long as this object lives."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held: dict[int, socket.socket] = {}

    def claim(self, core: int) -> bool:
        """Whether the core is this pool's, now or already. Raises OSError as `claim_core` does."""
        if core not in self.held:
            claimed = claim_core(core)
            if claimed is None:
                return False
            self.held[core] = claimed
        return True

    def release(self, core: int) -> None:
        """Leave a core to others; one that isn't held is ignored."""
        if core in self.held:
            self.held.pop(core).close()


def claim_core(core: int) -> socket.socket | None:
    """Claim a core until the socket is closed or this process dies, however it dies.

    It counts in this network namespace. None when another pool holds the core; raises OSError
    where such a socket can't be made.
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        claimed.bind(f"\0corepod/core/{core}")
    except OSError as error:
        claimed.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claimed


def pin(core: int, pid: int = 0) -> str:
    """Pin every thread of a process (0: this one) to a core.

    Empty when done, else a phrase that says why it isn't possible.
    """
    done: set[int] = set()
    # A thread that isn't pinned yet may make another one meanwhile: look until none is new.
    for _ in range(PIN_PASSES):
        new = _threads(pid) - done
        for thread in new:
            try:
                os.sched_setaffinity(thread, {core})
            except OSError as error:
                if error.errno != errno.ESRCH or thread == pid:
                    return _why_not(core, pid, error)
        if not new:
            break
        done |= new
    return ""


def _threads(pid: int) -> set[int]:
    try:
        # Where /proc is that of an outer pid namespace, its numbers are those of strangers here.
        if os.readlink("/proc/self") == str(os.getpid()):
            return {int(name) for name in os.listdir(f"/proc/{pid or 'self'}/task")}
    except OSError:
        pass  # no /proc, or the process is gone: the main thread's own answer tells
    return {pid}


def _why_not(core: int, pid: int, error: OSError) -> str:
    phrases = {
        errno.EPERM: f"no permission to pin to core {core}: a sandbox forbids it, or the "
        "process has another user and CAP_SYS_NICE is missing",
        errno.EINVAL: f"core {core} is offline or outside the cpuset",
        errno.ENOSYS: "this kernel or sandbox can't pin",
        errno.ESRCH: f"process {pid} is gone",
    }
    return phrases.get(error.errno or 0, f"can't pin to core {core}: {error.strerror}")
