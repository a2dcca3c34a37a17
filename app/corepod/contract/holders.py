"""Which processes of this machine hold a socket, as far as /proc may be read."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


def holders(inodes: Collection[str]) -> Iterator[int]:
    """Pids of the processes that have one of these sockets open, the oldest first.

    Those of other users and of other pid namespaces are not seen.
    """
    links = {f"socket:[{inode}]" for inode in inodes}
    for pid in sorted(int(name) for name in os.listdir("/proc") if name.isdecimal()):
        if not links.isdisjoint(_open_files(pid)):
            yield pid


def _open_files(pid: int) -> list[str]:
    folder, found = f"/proc/{pid}/fd", []
    try:
        for fd in os.listdir(folder):
            found.append(os.readlink(f"{folder}/{fd}"))
    except OSError:
        pass  # not ours to read, or gone meanwhile
    return found
