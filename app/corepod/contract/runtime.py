"""Where the control sockets of pools are, for the supervisor that makes one and for the commands that look for it.

A place is a prefix of an address: the folder `corepod` in the runtime folder of the user or of the system, or abstract
names (written with a leading @), which need no file system.
"""

from __future__ import annotations

import os
import re
import socket
import stat
import sys

from corepod.contract.credentials import UCRED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

SYSTEM = "/run/corepod/"
SUFFIX = ".sock"
SERVER = "corepod/"  # the header Server of its answers, before the version
MOST_NAMES = 99  # pools of one name: the second one is called NAME-2


def places(environ: Mapping[str, str], uid: int) -> list[str]:
    """Prefixes of addresses, the first one that can be used counts.

    systemd sets XDG_RUNTIME_DIR for the services of a user, and RUNTIME_DIRECTORY where a unit has one.
    """
    found = []
    runtime = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if runtime.startswith(SYSTEM) or f"{runtime}/" == SYSTEM:
        found.append(f"{runtime}/")
    if folder := environ.get("XDG_RUNTIME_DIR", ""):
        found.append(os.path.join(folder, "corepod", ""))
    return [*found, SYSTEM, f"@corepod-{uid}/"]


def make_folder(path: str, *, public: bool) -> bool:
    """Make a folder of corepod's own for sockets or logs, which all may look into or only its owner. Returns whether
    it is there and nobody else may write in it: he could put a socket of his own, or a link, in the place of ours."""
    try:
        os.makedirs(path, 0o755 if public else 0o700, exist_ok=True)
        found = os.stat(path)
    except OSError:
        return False
    return may_control(found.st_uid) and not found.st_mode & stat.S_IWOTH


def names(pool: str) -> list[str]:
    """The names that the socket of a pool may have, in the order in which they are tried."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", pool).strip(".") or "pool"
    return [plain, *(f"{plain}-{number}" for number in range(2, MOST_NAMES + 1))]


def pool_of(address: str) -> str:
    """The pool's name in the address of its socket."""
    return address.rpartition("/")[2].removesuffix(SUFFIX)


def raw(address: str) -> str:
    """The address for the socket functions, which write an abstract name with a leading NUL."""
    return "\0" + address[1:] if address.startswith("@") else address


def may_control(uid: int) -> bool:
    """Whether a process of this user is trusted by one of ours: the same user, or root."""
    return uid in (os.geteuid(), 0)


def peer(sock: socket.socket) -> int:
    """The user of the process at the other end of a Unix socket.

    Raises OSError where the kernel doesn't say.
    """
    return _credential(sock, 4)


def peer_pid(sock: socket.socket) -> int:
    """The process at the other end as this process sees it, 0 where it doesn't: it is in another pid namespace then.

    Raises OSError where the kernel doesn't say.
    """
    return _credential(sock, 0)


def _credential(sock: socket.socket, at: int) -> int:
    data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, UCRED.size)
    return int.from_bytes(data[at : at + 4], sys.byteorder)
