"""What the kernel says of processes in /proc. A process that is gone raises OSError, except where it is said."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

GONE = ("", "Z", "X")


def stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat behind the name, which may hold anything: the state is the first, the parent the
    second, see proc_pid_stat(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def state(pid: int) -> str:
    """R, S, D, T, Z …; empty when there is no such process."""
    try:
        return stat(pid)[0]
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """Whether the process exists and isn't a zombie."""
    return state(pid) not in GONE


def began(pid: int) -> str:
    """When it was started, which with the pid is its identity; empty when there is no such process."""
    try:
        return stat(pid)[19]
    except OSError:
        return ""


def parent(pid: int) -> int:
    return int(stat(pid)[1])


def cpu_seconds(pid: int) -> float:
    """What all its threads have used, in user and system mode."""
    fields = stat(pid)
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_channel(pid: int) -> str:
    """The function of the kernel in which its main thread sleeps; "0" where it doesn't, empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return ""


def comm(pid: int) -> str:
    """What it shows in ps: corepod-worker, corepod-template …; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def command(pid: int) -> list[str]:
    """The words of its command line; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def status(pid: int, field: str, thread: int | None = None) -> str:
    """A line of /proc/PID/status, or of one thread's, without its name."""
    path = Path(f"/proc/{pid}/status" if thread is None else f"/proc/{pid}/task/{thread}/status")
    return path.read_text().partition(f"\n{field}:")[2].partition("\n")[0].strip()


def signals(pid: int, field: str) -> set[int]:
    """The signals in a mask of its status: SigBlk, SigIgn, SigCgt."""
    mask = int(status(pid, field), 16)
    # 32 and 33 are the C library's own for its threads; it ignores them in what it spawns.
    return {bit + 1 for bit in range(64) if mask >> bit & 1} - {32, 33}


def threads(pid: int) -> list[int]:
    return [int(entry) for entry in os.listdir(f"/proc/{pid}/task")]


def descriptors(pid: int) -> int:
    """How many descriptors it has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def maps(pid: int) -> str:
    """What it has mapped, libraries among it."""
    return Path(f"/proc/{pid}/maps").read_text()


def descendants(pid: int) -> list[int]:
    """Every process below `pid`."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            children.setdefault(parent(int(entry)), []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found
