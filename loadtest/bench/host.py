"""The machine: cores, and processes with what they use."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

PR_SET_CHILD_SUBREAPER = 36
CORES = sorted(os.sched_getaffinity(0))
CLIENT = {CORES[0]}
SERVER = {CORES[1 % len(CORES)]}
# Where the client shares a core with a server it must not be what is measured: it costs little, and goes first.
CLIENT_NICE, SERVER_NICE = -16, -12


def prepare() -> None:
    """Pin this process, and inherit whatever a server leaves behind, to be able to end it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.sched_setaffinity(0, CLIENT)
    prefer(os.getpid(), CLIENT_NICE)


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run on these cores, and so does every process started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def prefer(pid: int, nice: int) -> None:
    """Give a process, and what it starts, this nice value, where that is allowed: other load then matters less.

    Where sessions are scheduled as groups, nice values count inside a session only, so its group gets it, too.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, nice)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def children(pid: int) -> list[int]:
    """Direct children, of any of its threads."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def tree(pid: int) -> list[int]:
    """The process and everything below it."""
    found = [pid]
    for below in children(pid):
        found += tree(below)
    return found


def name(pid: int) -> str:
    return read(f"/proc/{pid}/comm").strip()


def command(pid: int) -> str:
    return read(f"/proc/{pid}/cmdline").replace("\0", " ")


def alive(pid: int) -> bool:
    """Whether it exists and isn't a zombie."""
    state = read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(state) and state[0] not in "ZX"


def kill(pids: Iterable[int], signum: int = signal.SIGKILL) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signum)


def end_children() -> None:
    """End every process that this one has started, and theirs."""
    deadline = time.monotonic() + 5.0
    while (left := tree(os.getpid())[1:]) and time.monotonic() < deadline:
        kill(left)
        reap()
        time.sleep(0.01)


def reap() -> None:
    """Collect orphans that were handed to this process."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def cpu(pid: int) -> float:
    """CPU seconds a process has used, all threads, to the nanosecond; 0 where it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the process's CPU clock, as clock_getcpuclockid(3) makes it
    except OSError:
        return 0.0


def pss(pid: int) -> int:
    """Bytes of memory, shared pages counted in proportion."""
    return _field(f"/proc/{pid}/smaps_rollup", "Pss:")


def footprint(pids: Collection[int]) -> int:
    """Bytes that these processes hold together, files that they map counted once, whoever else maps them: what a
    container of theirs would be charged."""
    own = sum(_field(f"/proc/{pid}/smaps_rollup", key) for pid in pids for key in ("Pss_Anon:", "Pss_Shmem:"))
    return own + max(_field(f"/proc/{pid}/status", "RssFile:") for pid in pids)


def rss(pid: int) -> int:
    return _field(f"/proc/{pid}/status", "VmRSS:")


def _field(path: str, name: str) -> int:
    line = next((line for line in read(path).splitlines() if line.startswith(name)), "0 0")
    return int(line.split()[1]) * 1024


def read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
