"""The sockets of the pool: made once here, so that no worker's death closes, shrinks or rebinds them."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import stat
import struct
import sys
import time

from corepod.contract import listening
from corepod.contract.exits import EXIT_BIND
from corepod.supervisor.launch import holder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from corepod.supervisor.settings import Settings

NEXT_PORTS = 100  # how far the default admin port may move
# Of the sockets of the supervisor itself: beyond it a probe's SYN is dropped, and repeated after a second.
ADMIN_BACKLOG = 1024
# Addresses that most people haven't asked for: an error has to say what they are.
PURPOSES = {"--admin": "address of probes, metrics and status", "--control": "socket of local clients"}
LOCK_TRIES, LOCK_PAUSE = 100, 0.01  # seconds between two; the lock is held for less than one of these
SO_ATTACH_FILTER = 26
# Seconds for which the kernel keeps a connection to itself that has brought nothing (TCP_DEFER_ACCEPT, rounded up to a
# retransmission). Browsers connect ahead, balancers and scanners connect and say nothing: a worker would hold its gate
# closed for each of them. After that time they are handed over all the same, so that keep_alive ends them.
DEFER_ACCEPT = 1
# A classic BPF program over the TCP header: drop what has SYN and not ACK among its flags, let everything else pass.
NO_SYN = (
    (0x30, 0, 0, 13),  # load the byte with the flags
    (0x54, 0, 0, 0x12),  # and SYN | ACK
    (0x15, 0, 1, 0x02),  # if it is SYN alone
    (0x06, 0, 0, 0),  # drop the packet
    (0x06, 0, 0, 0xFFFF),
)
_opened: list[socket.socket] = []  # here, not by systemd
_made: dict[str, tuple[int, int]] = {}  # paths of Unix sockets made here, with device and inode of the file


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
    for sock in handed:
        # Listen again: on a socket that listens it only sets the length of the queue.
        _listen(sock, name(sock), settings.backlog, "ListenStream= of the unit")
    return handed or [
        open_socket(address, settings.socket_mode, settings.backlog, "--bind") for address in settings.bind
    ]


def defer(socks: list[socket.socket]) -> str:
    """Let the kernel hand over connections when they bring something, on the TCP sockets made here. Why it doesn't,
    empty where it does.

    Sockets handed over by systemd are left alone: DeferAcceptSec= of the unit says what they do.
    """
    try:
        for sock in socks:
            if sock in _opened and sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, DEFER_ACCEPT)
    except OSError as error:
        return f"the kernel holds no silent connections back (TCP_DEFER_ACCEPT: {error.strerror}); workers accept them"
    return ""


def stop_deferring(socks: list[socket.socket]) -> None:
    """Hand connections over at once from now on: the pool is about to stop, and what the kernel still keeps to itself
    would be reset with the last copy of its socket."""
    for sock in socks:
        if sock in _opened and sock.family != socket.AF_UNIX:
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 0)
            except OSError:
                pass  # a sandbox that holds nothing back either


def admin(settings: Settings) -> socket.socket | None:
    """The admin port's socket. Where the default port is taken the next free one; a chosen one is an error."""
    if settings.admin == "none":
        return None
    host, _, port = settings.admin.rpartition(":")
    more = range(int(port) + 1, min(int(port) + NEXT_PORTS, 65536)) if not settings.admin_explicit else ()
    for address in (settings.admin, *(f"{host}:{number}" for number in more)):
        try:
            return open_socket(address, settings.socket_mode, ADMIN_BACKLOG, "--admin")
        except StartError as error:
            if not is_taken(error) or settings.admin_explicit:
                raise
    raise StartError(
        f"{PURPOSES['--admin']}: can't listen on {settings.admin}: it is in use, and so are the next {len(more)}; "
        "choose another address with --admin",
        EXIT_BIND,
    )


def name(sock: socket.socket) -> str:
    """The address as people write it."""
    if sock.family == socket.AF_UNIX:
        # An abstract name begins with a NUL, which people write as @.
        return f"unix:{os.fsdecode(sock.getsockname()).replace(chr(0), '@', 1)}"
    return listening.name(sock)


def queue(sock: socket.socket) -> dict[str, int] | None:
    """Connections that wait to be accepted and how many may; Linux tells both in TCP_INFO of a listening socket."""
    if sock.family == socket.AF_UNIX:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    except OSError:
        return None
    # struct tcp_info: eight bytes, then 32-bit words; unacked and sacked are the fifth and the sixth of them.
    word = [int.from_bytes(info[at : at + 4], sys.byteorder) for at in (24, 28)]
    return {"length": word[0], "limit": word[1]}


def stop_intake(socks: list[socket.socket]) -> None:
    """From now on no connection is added to the queues of these sockets, in whichever process they are open.

    A queue is reset when the last process closes its copy of the socket. Workers accept all of it first, but what
    arrives between their last look and the end of the last process would be lost. A client whose SYN is dropped asks
    again after a second, and is then refused. Sockets handed over by systemd are left alone: systemd goes on queueing.
    """
    for sock in socks:
        if sock not in _opened:
            continue
        try:
            if sock.family == socket.AF_UNIX:
                sock.shutdown(socket.SHUT_RD)  # refuses new connections, and keeps those in the queue
            else:
                program = array.array("B", b"".join(struct.pack("HBBI", *step) for step in NO_SYN))
                address, _ = program.buffer_info()
                sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_SYN), address))
        except OSError:
            pass  # a kernel without it: a few connections may be reset, as they always were


def close(socks: list[socket.socket]) -> None:
    """Close the pool's copies; the file of a Unix socket made here goes too."""
    for sock in socks:
        path = sock.getsockname() if sock.family == socket.AF_UNIX else ""
        sock.close()
        _remove(path)


def remove_made() -> None:
    """Remove the files of all Unix sockets made here: the start has failed."""
    for path in list(_made):
        _remove(path)


def _remove(path: str) -> None:
    made = _made.pop(path, None)
    # Another pool may have put its own socket there meanwhile.
    if made is not None and _identity(path) == made:
        try:
            os.unlink(path)
        except OSError:
            pass


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino)


def _from_systemd() -> list[socket.socket]:
    # sd_listen_fds(3): descriptors from 3 on, meant for this very process.
    pid, count = os.environ.pop("LISTEN_PID", ""), os.environ.pop("LISTEN_FDS", "")
    os.environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    socks = []
    for fd in range(3, 3 + int(count)):
        try:
            sock = socket.socket(fileno=fd)
        except OSError as error:
            raise StartError(
                f"descriptor {fd} of LISTEN_FDS={count} is no socket: {error.strerror}", EXIT_BIND
            ) from error
        if sock.type != socket.SOCK_STREAM:
            raise StartError(f"descriptor {fd} of LISTEN_FDS={count} ({name(sock)}) is no stream socket", EXIT_BIND)
        socks.append(sock)
    return socks


def open_socket(address: str, mode: int | None, backlog: int, flag: str) -> socket.socket:
    """A bound socket that listens, of an address as settings have it; `flag` is the one that gave it.

    Raises StartError.
    """
    path = address.removeprefix("unix:") if address.startswith("unix:") else ""
    held = lock(os.path.dirname(path) or ".") if path else None
    try:
        sock = _bind_unix(path, mode) if path else _bind_tcp(address)
        _listen(sock, address, backlog, flag)
    except OSError as error:
        raise refusal(address, error, flag) from error
    finally:
        if held is not None:
            os.close(held)
    _opened.append(sock)
    return sock


def lock(folder: str) -> int | None:
    """A descriptor that keeps others from making sockets in this folder, or removing dead ones, until it is closed.

    Two that find a dead socket at the same moment would both remove it, the second one the living socket of the first;
    and one that doesn't listen yet looks dead. None where it can't be had: the folder may be hidden, and whoever may
    read it can hold the lock for as long as he likes.
    """
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return None
    for _ in range(LOCK_TRIES):
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return held
        except OSError:
            time.sleep(LOCK_PAUSE)
    os.close(held)
    return None


def _listen(sock: socket.socket, address: str, backlog: int, flag: str) -> None:
    try:
        sock.listen(backlog)
    except OSError as error:  # two may bind a port that nobody listens on; the second one to listen fails
        sock.close()
        raise refusal(address, error, flag) from error
    sock.setblocking(False)


def _bind_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    # The protocol is named because asyncio sets TCP_NODELAY only where it can read it on the accepted socket,
    # which copies it from here; without, each later request of a connection waits 40 ms.
    return listening.bound(host.strip("[]"), int(port), socket.SOCK_STREAM, socket.IPPROTO_TCP)


def _bind_unix(path: str, mode: int | None) -> socket.socket:
    if os.path.exists(path) and stat.S_ISSOCK(os.stat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.setblocking(False)  # a living one whose queue is full would hold us here
            if probe.connect_ex(path) != errno.ECONNREFUSED:
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
    made = _identity(path)
    if made is not None:
        _made[path] = made
    return sock


def is_taken(error: StartError) -> bool:
    """Whether somebody else has the address."""
    cause = error.__cause__
    return isinstance(cause, OSError) and cause.errno == errno.EADDRINUSE


def refusal(address: str, error: OSError, flag: str) -> StartError:
    """The error for people when the system refuses an address."""
    hint = {
        errno.EADDRINUSE: f"it is in use; stop what listens there or choose another address with {flag}",
        errno.EACCES: "permission denied; a port below 1024 needs a privilege (CAP_NET_BIND_SERVICE), "
        "a Unix socket a folder that may be written",
        errno.EADDRNOTAVAIL: "this machine has no such address",
        errno.ENOENT: "there is no such folder",
    }.get(error.errno or 0, error.strerror or str(error))
    if error.errno == errno.EADDRINUSE and (found := _holder(address)):
        hint += f" (it belongs to {found})"
    purpose = f"{PURPOSES[flag]}: " if flag in PURPOSES else ""
    return StartError(f"{purpose}can't listen on {address}: {hint}", EXIT_BIND)


def _holder(address: str) -> str:
    port = address.rpartition(":")[2]
    return holder.describe(int(port)) if port.isdecimal() and not address.startswith("unix:") else ""
