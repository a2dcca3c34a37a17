"""Which process listens at an address that is taken, as far as /proc may be read."""

from __future__ import annotations

import os

LISTENING = "0A"  # the state in /proc/net/tcp


def describe(port: int) -> str:
    """The process that listens on this TCP port, as "pid 4711, nginx"; empty where it can't be found: it is another
    user's, or in another pid namespace."""
    sockets = {f"socket:[{inode}]" for inode in _inodes(port)}
    if not sockets:
        return ""
    pid = next((pid for pid in _pids() if sockets.intersection(_open_files(pid))), None)
    return f"pid {pid}, {_name(pid)}" if pid is not None else ""


def _inodes(port: int) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        for line in _read(f"/proc/net/{table}").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENING and words[1].rpartition(":")[2] == f"{port:04X}":
                found.append(words[9])
    return found


def _pids() -> list[int]:
    # The oldest first: of a supervisor and the workers that share its socket it is the supervisor that has to be ended.
    return sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())


def _open_files(pid: int) -> list[str]:
    folder, found = f"/proc/{pid}/fd", []
    try:
        for fd in os.listdir(folder):
            found.append(os.readlink(f"{folder}/{fd}"))
    except OSError:
        pass  # not ours to read, or gone meanwhile
    return found


def _name(pid: int) -> str:
    # Another program chose it: nothing of it may drive a terminal.
    name = _read(f"/proc/{pid}/comm").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in name) or "unknown"


def _read(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except OSError:
        return ""
