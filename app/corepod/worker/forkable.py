"""Whether this process may be forked with the application in it: only with one thread, and with nothing open that two
processes can't share."""

from __future__ import annotations

import collections
import os
import stat
import sys
import time

from corepod.worker.descriptors import describe

LEAVING = 20  # looks at threads that may be on their way out
HARMLESS = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")


def open_fds() -> dict[int, str]:
    """Descriptors of this process and what they are."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue  # the descriptor of the listing itself
    return found


def threads() -> int:
    """How many threads this process has. One that has just been joined may need a moment to leave."""
    for _ in range(LEAVING):
        count = len(_tasks())
        if count == 1:
            break
        time.sleep(0.005)
    return count


def why_not_forkable(before: dict[int, str], culprit: str = "the application's import") -> str:
    """Empty where this process may be forked. `before`: the descriptors that were open before the `culprit`, which the
    text names."""
    if (count := threads()) > 1:
        return f"{culprit} started {count - 1} thread(s) ({', '.join(thread_names())})"
    for what in hazards(before).values():
        return f"{culprit} left {what} open"
    return ""


def hazards(before: dict[int, str]) -> dict[int, str]:
    """What two processes must not share, of the descriptors opened since `before`, and what each of them is."""
    new = {fd: target for fd, target in open_fds().items() if before.get(fd) != target}
    return {fd: what for fd, target in new.items() if (what := _hazard(fd, target))}


def thread_names() -> list[str]:
    """The other threads of this process: Python's by the name that the application has given them, those of extensions
    by the name that the kernel knows (jemalloc_bg_thd, event_engine ...)."""
    threading = sys.modules.get("threading")
    known = {thread.native_id: thread.name for thread in threading.enumerate()} if threading else {}
    names = collections.Counter(known.get(task) or _comm(task) for task in _tasks() if task != os.getpid())
    return [name if count == 1 else f"{count} x {name}" for name, count in sorted(names.items())]


def _tasks() -> list[int]:
    return [int(name) for name in os.listdir("/proc/self/task")]


def _comm(task: int) -> str:
    try:
        with open(f"/proc/self/task/{task}/comm") as file, open("/proc/self/comm") as own:
            name = file.read().strip()
            # A thread has its process's name until it takes another.
            return "unnamed" if name == own.read().strip() else name
    except OSError:
        return "one that has just ended"


def shared_files(before: dict[int, str]) -> list[int]:
    """Files the application's import has left open for reading: forks share the place in them, unless they `reopen`."""
    return [
        fd
        for fd, target in open_fds().items()
        if before.get(fd) != target
        and target.startswith("/")
        and stat.S_ISREG(os.fstat(fd).st_mode)
        and _flags(fd) & os.O_ACCMODE == os.O_RDONLY
    ]


def reopen(fd: int) -> None:
    """Give this process a place of its own in the file; where that isn't allowed it stays shared."""
    try:
        own = os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    os.lseek(own, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
    os.dup2(own, fd, os.get_inheritable(fd))
    os.close(own)


def _hazard(fd: int, target: str) -> str:
    """The thing behind this descriptor that two processes must not share, empty where sharing it is harmless."""
    if target in HARMLESS:
        return ""
    if target.startswith("/dev/") or not target.startswith("/"):
        return describe(fd, target)
    flags = _flags(fd)
    writes = flags & os.O_ACCMODE != os.O_RDONLY
    return f"{describe(fd, target)} for writing" if writes and not flags & os.O_APPEND else ""


def _flags(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}") as info:
        return next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
