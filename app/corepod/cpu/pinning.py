"""Which slot gets which core, without stacking on those of other pools, and pinning to it."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

from corepod.cpu.cores import format_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.cpu.cores import Usable

ASKED = 10  # times that a claim's holder is asked who it is: a pool that has just started may not listen yet
ASK_PAUSE = 0.002  # seconds between two of them
UCRED = 12  # bytes of struct ucred: pid, uid, gid
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
    (`CoreClaims.claim`); `squatter` who holds a core that it didn't get, if that is no pool to give
    way to (`CoreClaims.squatter`). Cores are chosen before the quota's cut: were they the first of
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


def ignored(core: int, squatter: str) -> str:
    """What the log says of a claim that isn't respected."""
    return f"core {core} is claimed by {squatter}, which is no pool of this user or of root: it is used all the same"


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

    def squatter(self, core: int) -> str:
        """Who holds a core that this pool didn't get, for people; empty where it is to be respected.

        Anybody may bind the name. A pool of this user or of root is given way to; others aren't, or any user could
        keep the pools of all from being pinned.
        """
        for _ in range(ASKED):
            found = holder(core)
            if found is not None:
                pid, uid = found
                return "" if uid in (0, os.geteuid()) else f"{_process(pid)} of user {_user(uid)}"
            time.sleep(ASK_PAUSE)
        return "a process that doesn't say who it is"

    def release(self, core: int) -> None:
        """Leave a core to others; one that isn't held is ignored."""
        if core in self.held:
            self.held.pop(core).close()


def claim_core(core: int) -> socket.socket | None:
    """Claim a core until the socket is closed or this process dies, however it dies.

    It counts in this network namespace. None when another process holds the core; raises OSError
    where such a socket can't be made. The socket listens, so that others can ask for its owner;
    their connections are to be accepted and closed (`forget_visitors`).
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claimed.setblocking(False)
        claimed.bind(_name(core))
        claimed.listen()
    except OSError as error:
        claimed.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return claimed


def holder(core: int) -> tuple[int, int] | None:
    """Pid and user of the process that has claimed a core, by the kernel's word; None where there is none to be asked.

    The pid is 0 where this pid namespace doesn't have the process.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
        visitor.setblocking(False)
        try:
            visitor.connect(_name(core))
            found = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED)
        except OSError:  # it doesn't listen, its queue is full, or it is gone
            return None
    return int.from_bytes(found[:4], sys.byteorder), int.from_bytes(found[4:8], sys.byteorder)


def forget_visitors(claimed: socket.socket) -> None:
    """Accept and close what has connected to a claim: once its queue is full nobody could ask for the owner."""
    try:
        claimed.accept()[0].close()
    except OSError:
        pass  # gone already, or no descriptor is left


def _name(core: int) -> str:
    return f"\0corepod/core/{core}"


def _process(pid: int) -> str:
    return f"process {pid}" if pid else "a process of another container"


def _user(uid: int) -> str:
    try:
        import pwd  # only here: PID 1 seldom has to know

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)


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
