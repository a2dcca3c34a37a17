"""Which process listens at an address that is taken, as far as /proc may be read."""

from __future__ import annotations

from corepod.contract.holders import holders
from corepod.supervisor.health.procfs import read

LISTENING = "0A"  # the state in /proc/net/tcp


def describe(port: int) -> str:
    """The process that listens on this TCP port, as "pid 4711, nginx"; empty where it can't be found: it is another
    user's, or in another pid namespace."""
    inodes = _inodes(port)
    # Of a supervisor and the workers that share its socket the oldest is the supervisor, which has to be ended.
    pid = next(holders(inodes), None) if inodes else None
    return f"pid {pid}, {_name(pid)}" if pid is not None else ""


def _inodes(port: int) -> list[str]:
    found = []
    for table in ("tcp", "tcp6"):
        for line in read(f"/proc/net/{table}").splitlines()[1:]:
            words = line.split()
            if len(words) > 9 and words[3] == LISTENING and words[1].rpartition(":")[2] == f"{port:04X}":
                found.append(words[9])
    return found


def _name(pid: int) -> str:
    # Another program chose it: nothing of it may drive a terminal.
    name = read(f"/proc/{pid}/comm").strip()
    return "".join(letter if letter.isprintable() else "?" for letter in name) or "unknown"
