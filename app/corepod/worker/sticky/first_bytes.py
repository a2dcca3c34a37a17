"""The first bytes of a connection, which stay in the kernel."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from corepod.worker.sticky.cookie import Look

if TYPE_CHECKING:
    from corepod.worker.sticky.cookie import Cookie

FIRST = 4096  # bytes that are looked at first, and all of them for most
MOST = 1 << 16  # bytes that are looked at, where `limit_header` allows so many


def look_at(sock: socket.socket, cookie: Cookie, limit_header: int) -> Look | None:
    """What they tell, None where nothing has come yet."""
    most = min(limit_header or MOST, MOST)
    try:
        data = sock.recv(FIRST, socket.MSG_PEEK)
        if len(data) == FIRST < most and not cookie.look(data).whole:
            data = sock.recv(most, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except OSError:  # the client has gone; the server sees that
        data = b""
    look = cookie.look(data) if data else Look(whole=True, slot=None)
    return look._replace(whole=look.whole or len(data) >= most)
