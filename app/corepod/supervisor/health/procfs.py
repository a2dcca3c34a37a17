"""What the kernel says of processes and of this container: small reads of /proc and of the control group."""

from __future__ import annotations

import os

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


def read(path: str) -> str:
    """The text of a small file, empty where it can't be read: a process may be gone, a sandbox may hide it."""
    # Without a file object, which asks the kernel twice as often: a large pool reads thousands of these.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        return b"".join(iter(lambda: os.read(fd, 16384), b"")).decode("utf-8", "replace")
    except OSError:
        return ""
    finally:
        os.close(fd)


def thread_time(pid: int) -> float | None:
    """Seconds the main thread of `pid` has run or has waited in the run queue for a core; None where unknown.

    The second part matters: a thread that wants a core and doesn't get one is starved, not stuck.
    """
    numbers = read(f"/proc/{pid}/task/{pid}/schedstat").split()
    if len(numbers) >= 2:
        return (int(numbers[0]) + int(numbers[1])) / 1e9
    return _cpu(f"/proc/{pid}/task/{pid}/stat")


def cpu_time(pid: int | str) -> float | None:
    """CPU seconds of all threads of `pid`."""
    return _cpu(f"/proc/{pid}/stat")


def rss(pid: int | str) -> int | None:
    """Resident bytes of `pid`."""
    pages = read(f"/proc/{pid}/statm").split()
    return int(pages[1]) * _PAGE if len(pages) > 1 else None


def writes_to_full_pipe(pid: int, *, any_thread: bool = False) -> bool:
    """Whether the main thread of `pid`, or any of its threads, sleeps in the kernel until somebody reads a pipe."""
    try:
        threads = os.listdir(f"/proc/{pid}/task") if any_thread else [str(pid)]
    except OSError:
        return False
    return any("pipe_w" in read(f"/proc/{pid}/task/{thread}/wchan") for thread in threads)


def catches(pid: int, signum: int) -> bool:
    """Whether `pid` has a handler for this signal."""
    mask = read(f"/proc/{pid}/status").partition("SigCgt:")[2].split("\n")[0].strip()
    return bool(mask) and bool(int(mask, 16) >> signum - 1 & 1)


def children(pid: int | str = "self") -> list[int]:
    """Direct children, from the kernel's list or, where it keeps none, from every process's parent."""
    listed = read(f"/proc/{pid}/task/{os.getpid() if pid == 'self' else pid}/children")
    if listed:
        return [int(child) for child in listed.split()]
    parent = os.getpid() if pid == "self" else int(pid)
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _parent(name) == parent]


def _fields(path: str) -> list[str]:
    # The name in parentheses may hold spaces and parentheses; the numbers start behind the last one.
    return read(path).rpartition(")")[2].split()


def _cpu(path: str) -> float | None:
    fields = _fields(path)
    return (int(fields[11]) + int(fields[12])) / _TICKS if len(fields) > 12 else None


def _parent(pid: str) -> int:
    fields = _fields(f"/proc/{pid}/stat")
    return int(fields[1]) if len(fields) > 1 else -1


def memberships() -> dict[str, str]:
    """The paths of this process's control groups: by controller those of version 1, and `v2`."""
    mine = {}
    for line in read("/proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        for name in names.split(",") if names else ["v2"]:
            mine[name] = path
    return mine


class Cgroup:
    """This container's counters of throttling and of kills for memory, on cgroup v1 and v2."""

    def __init__(self) -> None:
        mine = memberships()
        self._cpu = _first_readable("cpu.stat", mine.get("v2"), "cpu", mine.get("cpu"))
        self._memory = _first_readable("memory.events", mine.get("v2"), "", None) or _first_readable(
            "memory.oom_control", None, "memory", mine.get("memory")
        )
        self._kills = self.memory_kills()

    def throttled(self) -> float | None:
        """Seconds this container was kept from running by its quota."""
        values = pairs(self._cpu)
        if "throttled_usec" in values:
            return values["throttled_usec"] / 1e6
        return values["throttled_time"] / 1e9 if "throttled_time" in values else None

    def memory_kills(self) -> int:
        """Processes of this container that the kernel ended for memory."""
        return pairs(self._memory).get("oom_kill", 0)

    def killed_for_memory(self) -> bool:
        """Whether that number has grown since the last call."""
        before, self._kills = self._kills, self.memory_kills()
        return self._kills > before


def _first_readable(name: str, v2: str | None, controller: str, v1: str | None) -> str:
    roots = []
    if v2 is not None:
        # In a container with its own cgroup namespace the path is /, and its mount is the container's own folder.
        roots += [f"/sys/fs/cgroup{v2.rstrip('/')}", "/sys/fs/cgroup"]
    if v1 is not None:
        roots += [f"/sys/fs/cgroup/{controller}{v1.rstrip('/')}", f"/sys/fs/cgroup/{controller}"]
    return next((f"{root}/{name}" for root in roots if read(f"{root}/{name}")), "")


def pairs(path: str) -> dict[str, int]:
    """The lines of a file that are a name and a number; none where it can't be read."""
    lines = (line.split() for line in read(path).splitlines()) if path else ()
    return {pair[0]: int(pair[1]) for pair in lines if len(pair) == 2 and pair[1].isdigit()}
