"""The machine: cores, processes, what they use, and what others use beside us."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

PR_SET_CHILD_SUBREAPER = 36
TICKS = os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
CLIENT = {CORES[0]}
SERVER = {CORES[1 % len(CORES)]}
FOREIGN_MOST = 0.05  # share of all cores that others, or the hypervisor, may use before a round counts as disturbed


def prepare() -> None:
    """Pin this process, and inherit whatever a server leaves behind, to be able to end it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    os.sched_setaffinity(0, CLIENT)


@contextlib.contextmanager
def pinned(cores: set[int]) -> Iterator[None]:
    """Run on these cores, and so does every process started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def priority(nice: int) -> Iterator[None]:
    """Run at this nice value where that is allowed: a client on a server's core must not be what is measured."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, before)


# Processes


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
    return _read(f"/proc/{pid}/comm").strip()


def command(pid: int) -> str:
    return _read(f"/proc/{pid}/cmdline").replace("\0", " ")


def alive(pid: int) -> bool:
    """Whether it exists and isn't a zombie."""
    state = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
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
    line = next((line for line in _read(path).splitlines() if line.startswith(name)), "0 0")
    return int(line.split()[1]) * 1024


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


# Use of the cores


@dataclass(frozen=True)
class Load:
    """What went on during a measurement. Shares are of one core."""

    seconds: float
    client: float  # share of the client
    foreign: float  # share that processes which aren't ours used
    steal: float

    @property
    def disturbed(self) -> bool:
        return max(self.foreign, self.steal) > FOREIGN_MOST * len(CORES)

    @property
    def client_busy(self) -> bool:
        """The client may have been what was measured."""
        return self.client > 0.85


class Meter:
    """Measures the load from its making until `stop`."""

    def __init__(self) -> None:
        self._at, self._client = time.monotonic(), time.process_time()
        self._busy, self._steal = _machine()
        self._own = _own()

    def stop(self) -> Load:
        own, (busy, steal) = _own(), _machine()
        seconds = time.monotonic() - self._at
        foreign = max(0.0, (busy - self._busy) - (own - self._own))
        client = time.process_time() - self._client
        return Load(seconds, client / seconds, foreign / seconds, (steal - self._steal) / seconds)


def _machine() -> tuple[float, float]:
    """Seconds that processes (not interrupts) have used of all usable cores, and that the hypervisor has taken."""
    busy = steal = 0.0
    for line in _read("/proc/stat").splitlines():
        if line.startswith("cpu") and line[3:4].isdigit() and int(line.split()[0][3:]) in CORES:
            user, nice, system, _idle, _wait, _irq, _softirq, stolen, *_ = map(int, line.split()[1:])
            busy += (user + nice + system) / TICKS
            steal += stolen / TICKS
    return busy, steal


def _own() -> float:
    """CPU seconds of this process and all below it, dead ones included."""
    return sum(cpu(pid) + _dead_children(pid) for pid in tree(os.getpid()))


def _dead_children(pid: int) -> float:
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / TICKS if fields else 0.0
