"""The sockets of the pool: made once here, so that no worker's death closes, shrinks or rebinds them."""

from __future__ import annotations

import errno
import os
import socket
import stat

from corepod.contract import EXIT_BIND

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

NEXT_PORTS = 100  # how far the default admin port may move
_made_paths: set[str] = set()


class StartError(Exception):
    """Something that keeps the pool from starting: one message for people, and the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def listeners(settings: Settings) -> list[socket.socket]:
    """The listening sockets of the application: systemd's where it hands some over, else those of `bind`.

    Raises StartError naming the address.
    """
    handed = _from_systemd()
    made = handed or [_bind(address, settings.socket_mode) for address in settings.bind]
    for sock in made:
        # On systemd's sockets too: listen(2) again only sets the length of the queue.
        sock.listen(settings.backlog)
        sock.setblocking(False)
    return made


def admin(settings: Settings) -> socket.socket | None:
    """The admin port's socket. Where the default port is taken the next free one; a chosen one is an error."""
    if settings.admin == "none":
        return None
    tries = 1 if settings.admin_explicit else NEXT_PORTS
    host, _, port = settings.admin.rpartition(":")
    for number in range(int(port), int(port) + tries) if port.isdigit() else [0]:
        address = f"{host}:{number}" if port.isdigit() else settings.admin
        try:
            sock = _bind(address, settings.socket_mode)
        except StartError as error:
            if not _taken(error) or number == int(port) + tries - 1:
                raise
            continue
        sock.listen(64)
        sock.setblocking(False)
        return sock
    return None


def control(path: str) -> socket.socket:
    """The Unix socket of the pool's owner, readable by nobody else."""
    sock = _bind(f"unix:{path}", 0o600)
    sock.listen(16)
    sock.setblocking(False)
    return sock


def name(sock: socket.socket) -> str:
    """The address as people write it."""
    address = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{os.fsdecode(address)}"
    host = f"[{address[0]}]" if sock.family == socket.AF_INET6 else address[0]
    return f"{host}:{address[1]}"


def queue(sock: socket.socket) -> dict[str, int] | None:
    """Connections that wait to be accepted and how many may; Linux tells both in TCP_INFO of a listening socket."""
    if sock.family == socket.AF_UNIX:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return None
    # struct tcp_info: eight bytes, then 32-bit words; unacked and sacked are the fifth and the sixth of them.
    word = [int.from_bytes(info[at : at + 4], "little") for at in (24, 28)]
    return {"length": word[0], "limit": word[1]}


def close(socks: list[socket.socket]) -> None:
    """Close the pool's copies; the file of a Unix socket made here goes too."""
    for sock in socks:
        path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
        sock.close()
        if path in _made_paths:
            try:
                os.unlink(path)
            except OSError:
                pass


def _from_systemd() -> list[socket.socket]:
    # sd_listen_fds(3): descriptors from 3 on, meant for this very process.
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "0")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()):
        return []
    socks = []
    for fd in range(3, 3 + int(count)):
        os.set_inheritable(fd, False)
        socks.append(socket.socket(fileno=fd))
    return socks


def _bind(address: str, mode: int | None) -> socket.socket:
    sock = None
    try:
        if address.startswith("unix:"):
            return _bind_unix(address[5:], mode)
        host, _, port = address.rpartition(":")
        host = host.strip("[]")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # The protocol is named because asyncio sets TCP_NODELAY only where it can read it on the accepted socket,
        # which copies it from here; without, each later request of a connection waits 40 ms.
        sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, int(port)))
        return sock
    except OSError as error:
        if sock is not None:
            sock.close()
        raise StartError(_why(address, error), EXIT_BIND) from error


def _bind_unix(path: str, mode: int | None) -> socket.socket:
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(path) == 0:
                raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))
        os.unlink(path)  # left behind by a pool that was killed
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # Under its final mode from the start: between bind and chmod others could connect.
    previous = os.umask(0o777 & ~mode) if mode is not None else None
    try:
        sock.bind(path)
    except OSError:
        sock.close()
        raise
    finally:
        if previous is not None:
            os.umask(previous)
    _made_paths.add(path)
    return sock


def _taken(error: StartError) -> bool:
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE


def _why(address: str, error: OSError) -> str:
    hint = {
        errno.EADDRINUSE: "it is in use; stop what listens there or choose another address",
        errno.EACCES: "permission denied; a port below 1024 needs a privilege (CAP_NET_BIND_SERVICE), "
        "a Unix socket a folder that may be written",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "there is no such folder",
    }.get(error.errno or 0, error.strerror or str(error))
    return f"can't listen on {address}: {hint}"
