"""Which slot gets which core, without stacking on those of other pools, and pinning to it."""

from __future__ import annotations

import errno
import os

from corepod.cpu.claims import ignored
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
    usable: Usable,
    slots: int,
    mode: str,
    container: bool,
    claim: Callable[[int], bool],
    squatter: Callable[[int], str] = lambda core: "",
) -> tuple[list[int | None], str]:
    """The core of each slot (None: not pinned), and why, where that isn't the user's wish.

    `mode` is the setting `pin`. `claim` says whether this pool got a core, and keeps it
    (`claims.CoreClaims.claim`); `squatter` who holds a core that it didn't get, if that is no pool to give
    way to (`claims.CoreClaims.squatter`). Cores are chosen before the quota's cut: were they the first of
    it, all containers with a quota of one core, which see every core of the node, would share core 0.
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
    got: list[int] = []
    try:
        # In a container, too: another pool may have been started in the same one.
        return _claimed(cores, slots, claim, squatter, got)
    except OSError as error:
        if container:
            return list(cores), ""
        why = error.strerror or "refused"
        return _fill(got, slots, f"cores can't be claimed here ({why}); set pin to always")


def _claimed(
    cores: tuple[int, ...], slots: int, claim: Callable[[int], bool], squatter: Callable[[int], str], got: list[int]
) -> tuple[list[int | None], str]:
    """Cores that nobody has, into `got`, and only where these are too few, those of squatters."""
    others: list[int] = []
    squatted: dict[int, str] = {}
    for core in cores:
        if len(got) == slots:
            break
        if claim(core):
            got.append(core)
        elif who := squatter(core):
            squatted[core] = who
        else:
            others.append(core)
    taken = list(squatted)[: slots - len(got)]
    why = f"only cores {format_list(cores)} may be used"
    if others:
        why += f", and other pools hold {format_list(others)}"
    pinned, missing = _fill([*got, *taken], slots, why)
    return pinned, "; ".join([*(ignored(core, squatted[core]) for core in taken), *([missing] if missing else [])])


def _fill(got: list[int], slots: int, why: str) -> tuple[list[int | None], str]:
    """Slots without a core come last."""
    missing = range(len(got), slots)
    if not missing:
        return list(got), ""
    names = f"slot {missing[0]} is" if len(missing) == 1 else f"slots {format_list(missing)} are"
    return [*got, *(None for _ in missing)], f"{names} not pinned: {why}"


def pin(core: int, pid: int = 0) -> str:
    """Pin every thread of a process (0: this one) to a core.

    Empty when done, else a phrase that says why it isn't possible.
    """
    error = _set({core}, pid)
    return _why_not(core, pid, error) if error is not None else ""


def spread(cores: set[int], pid: int) -> None:
    """Let every thread of a process run on all of these cores, as far as that is allowed."""
    _set(cores, pid)


def _set(cores: set[int], pid: int) -> OSError | None:
    done: set[int] = set()
    # A thread that isn't pinned yet may make another one meanwhile: look until none is new.
    for _ in range(PIN_PASSES):
        new = _threads(pid) - done
        for thread in new:
            try:
                os.sched_setaffinity(thread, cores)
            except OSError as error:
                if error.errno != errno.ESRCH or thread == pid:
                    return error
        if not new:
            break
        done |= new
    return None


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
