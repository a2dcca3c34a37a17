"""Who has written a packet of a Unix socket (SO_PASSCRED), as the kernel says: what the packet itself says of that is
worth nothing."""

from __future__ import annotations

import socket
from struct import Struct

UCRED = Struct("iII")  # struct ucred: pid, uid, gid
# Bytes. No room for anything else: descriptors that come with a packet are closed by the kernel.
ANCILLARY = socket.CMSG_LEN(UCRED.size)
# As numbers: each message between workers is looked at, and comparing members of an enumeration takes longer.
_LEVEL, _KIND = int(socket.SOL_SOCKET), int(socket.SCM_CREDENTIALS)


def sender(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The pid of a packet's writer in this pid namespace, 0 where it has none."""
    for level, kind, data in ancillary:
        if kind == _KIND and level == _LEVEL and len(data) == UCRED.size:
            pid: int = UCRED.unpack(data)[0]
            return pid
    return 0
