"""Duties of PID 1: reap every orphan, mistake none for a worker, leave nothing behind."""

from __future__ import annotations

import os
import signal
import time

from corepod.supervisor.health.procfs import children, read
from corepod.supervisor.pool.exits import Exit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 1.0  # seconds between TERM and KILL for what the application left behind


def become_subreaper() -> bool:
    """Make orphans below this process its children, as they are for PID 1. False where the kernel can't."""
    if os.getpid() == 1:
        return True
    try:
        import ctypes  # only here: PID 1 saves the memory

        return bool(ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def reap(owned: Sequence[int], keep_strangers: bool, whole: Collection[int] = ()) -> Iterator[tuple[int, int, int]]:
    """(pid, si_code, si_status) of each owned process that is dead; orphans are reaped in silence. What the application
    has started in a process that was killed or crashed, and has left in its group, is ended with it. For one of `whole`
    that is done however it has ended.

    One at a time: what one death leads to may kill others, and a pid that is reaped already may be another process's.

    `keep_strangers` leaves unknown zombies alone while a fork is under way: one may be a worker that died before its
    pid was known. Only owned pids are waited for by number, so an orphan's exit code is never a worker's.
    """
    left = set(owned)
    for pid in owned:
        try:
            info = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            continue  # no child of ours, or reaped meanwhile
        if info is not None:
            if pid in whole or (info.si_code, info.si_status) != (os.CLD_EXITED, 0):
                _end_group(pid, left)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
            left.discard(pid)
            yield pid, info.si_code, info.si_status
    if not keep_strangers:
        _reap_strangers(left)


def _end_group(leader: int, owned: set[int]) -> None:
    # Before it is reaped: until then its number, which is the group's, can't be anybody else's.
    if _group(leader) == leader and all(_group(pid) != leader for pid in owned - {leader}):
        try:
            os.killpg(leader, signal.SIGKILL)
        except OSError:
            pass  # of another user now, which only root may end


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except OSError:
        return 0


def as_exit(code: int, status: int, *, oom: bool) -> Exit:
    """The pool's word for si_code and si_status of waitid(2)."""
    exited = code == os.CLD_EXITED
    return Exit(status if exited else 0, 0 if exited else status, code == os.CLD_DUMPED, oom)


def _reap_strangers(owned: set[int]) -> None:
    while True:
        try:
            info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        # An owned one died since it was looked at; its own SIGCHLD brings us back.
        if info is None or info.si_pid in owned:
            return
        os.waitid(os.P_PID, info.si_pid, os.WEXITED | os.WNOHANG)


def end_descendants() -> list[str]:
    """End what is left: TERM, then KILL. Returns the names of what the application had left behind, one a process.

    Killing a parent hands its children to us, so it is repeated until nobody is left.
    """
    met: dict[int, str] = {}
    deadline = time.monotonic() + PATIENCE
    while left := _alive():
        late = time.monotonic() >= deadline
        for pid in left:
            if late or pid not in met:
                met.setdefault(pid, read(f"/proc/{pid}/comm").strip())
                _kill(pid, signal.SIGKILL if late else signal.SIGTERM)
        if time.monotonic() >= deadline + 2 * PATIENCE:
            break  # unkillable (uninterruptible sleep): waiting longer changes nothing
        time.sleep(0.01)
    # A fork whose pid wasn't known yet is none of the application's.
    return sorted(name for name in met.values() if not name.startswith("corepod"))


def _alive() -> list[int]:
    _reap_strangers(set())
    return children()


def _kill(pid: int, signum: int) -> None:
    try:
        os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        pass
