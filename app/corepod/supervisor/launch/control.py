"""The control sockets: where the pool's owner reads everything about it and steers it. Where they are is in
`corepod.contract.runtime`."""

from __future__ import annotations

import os
import socket

from corepod.contract import runtime
from corepod.contract.exits import EXIT_FAILED
from corepod.supervisor.launch import sockets
from corepod.supervisor.launch.sockets import StartError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

FLAG = "--control"


def open_all(settings: Settings) -> list[socket.socket]:
    """The one that can be found by the pool's name, or was chosen, and that of the terminal which shows the pool.

    Raises StartError where one that was chosen can't be made. Without the default one a pool runs all the same.
    """
    chosen = [address for address in (settings.control, settings.console) if address not in ("", "none")]
    # By its name a pool in the background is found: it has this one, or it doesn't start.
    names = runtime.names(settings.pool_name)
    found = [] if settings.control else _open_by_name(names if settings.starter is None else names[:1])
    return [*found, *map(_open, chosen)]


def _open_by_name(names: list[str]) -> list[socket.socket]:
    for place in runtime.places(os.environ, os.geteuid()):
        if not (place.startswith("@") or runtime.make_folder(place, public=place.startswith(runtime.SYSTEM))):
            continue
        for name in names:
            try:
                return [_open(f"{place}{name}{runtime.SUFFIX}")]
            except StartError as error:
                if not sockets.is_taken(error):
                    break
                if len(names) == 1:
                    raise StartError(f"a pool called {name} runs already", EXIT_FAILED) from error
    return []


def _open(address: str) -> socket.socket:
    if not address.startswith("@"):
        return sockets.open_socket(f"unix:{address}", 0o600, sockets.ADMIN_BACKLOG, FLAG)
    # An abstract name has no mode. The peer's user is checked in every case (see admin.server).
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(runtime.raw(address))
        sock.listen(sockets.ADMIN_BACKLOG)  # now: one that refuses looks as if its pool had been killed
    except OSError as error:
        sock.close()
        raise sockets.refusal(address, error, FLAG) from error
    sock.setblocking(False)
    return sock
