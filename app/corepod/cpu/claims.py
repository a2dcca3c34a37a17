"""Claims on cores: how pools on one machine, or in one container, keep out of each other's way.

A claim is an abstract Unix socket with the core in its name. It counts in its network namespace, and ends with the
process that holds it, however that dies. Any user can bind such a name, so the kernel is asked who has done it.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import time

from corepod.contract.holders import holders

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ASKED = 10  # times that a claim's holder is asked who it is: a pool that has just started may not listen yet
ASK_PAUSE = 0.002  # seconds between two of them
UCRED = 12  # bytes of struct ucred: pid, uid, gid


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
        found = None
        for _ in range(ASKED):
            found = holder(core)
            if found is not None:
                break
            time.sleep(ASK_PAUSE)
        return _unless_respected(found or next(binders(core, set()), None))

    def rivals(self) -> dict[int, str]:
        """Who else has bound the name of a core that this pool holds, with a socket of another kind: that keeps no pool
        from its core, but somebody tries."""
        found = {}
        for core, claimed in self.held.items():
            who = map(_unless_respected, binders(core, {os.fstat(claimed.fileno()).st_ino}))
            if names := ", ".join(filter(None, who)):
                found[core] = names
        return found

    def release(self, core: int) -> None:
        """Leave a core to others; one that isn't held is ignored."""
        if core in self.held:
            self.held.pop(core).close()


def ignored(core: int, squatter: str) -> str:
    """What the log says of a claim that isn't respected."""
    return f"core {core} is claimed by {squatter}, which is no pool of this user or of root: it is used all the same"


def claim_core(core: int) -> socket.socket | None:
    """Claim a core until the socket is closed or this process dies.

    None when another process holds the core; raises OSError where such a socket can't be made. The socket listens, so
    that others can ask for its owner; their connections are to be accepted and closed (`forget_visitors`).
    """
    claimed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        claimed.setblocking(False)
        claimed.bind("\0" + _name(core))
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
            visitor.connect("\0" + _name(core))
            found = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED)
        except OSError:  # it doesn't listen, its queue is full, or it is gone
            return None
    return int.from_bytes(found[:4], sys.byteorder), int.from_bytes(found[4:8], sys.byteorder)


def binders(core: int, ours: set[int]) -> Iterator[tuple[int, int] | None]:
    """Pid and user of each process that has a socket with a core's name, but for those with these inodes.

    None stands for one that this process may not see.
    """
    try:
        with open("/proc/net/unix", encoding="utf-8", errors="replace") as file:
            # Num RefCount Protocol Flags Type St Inode Path; a connection that waits to be accepted has inode 0.
            bound = [line.split() for line in file if line.rstrip().endswith(f" @{_name(core)}")]
    except OSError:
        return
    for inode in {int(fields[6]) for fields in bound} - ours - {0}:
        yield _owner(inode)


def forget_visitors(claimed: socket.socket) -> None:
    """Accept and close what has connected to a claim: once its queue is full nobody could ask for the owner."""
    try:
        claimed.accept()[0].close()
    except OSError:
        pass  # gone already, or no descriptor is left


def _name(core: int) -> str:
    return f"corepod/core/{core}"


def _owner(inode: int) -> tuple[int, int] | None:
    for pid in holders([str(inode)]):
        try:
            return pid, os.stat(f"/proc/{pid}").st_uid
        except OSError:
            continue  # gone meanwhile
    return None


def _unless_respected(found: tuple[int, int] | None) -> str:
    """A process for people; empty where its claim is respected."""
    if found is None:
        return "a process that doesn't say who it is"
    pid, uid = found
    who = f"process {pid}" if pid else "a process of another container"
    return "" if uid in (0, os.geteuid()) else f"{who} of user {_user(uid)}"


def _user(uid: int) -> str:
    try:
        import pwd  # only here: PID 1 seldom has to know

        return pwd.getpwuid(uid).pw_name
    except (ImportError, KeyError):
        return str(uid)
