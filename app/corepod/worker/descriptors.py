"""What a descriptor of this process is, in words that say more to the user than the link in /proc/self/fd."""

from __future__ import annotations

import os
import socket

# Beginnings of the links in /proc/self/fd; Linux writes some of them with brackets.
KINDS = {
    "pipe": "a pipe",
    "eventpoll": "an event loop (epoll)",
    "eventfd": "the wake-up descriptor of an event loop or thread pool (eventfd)",
    "timerfd": "a timer (timerfd)",
    "signalfd": "a receiver of signals (signalfd)",
    "inotify": "a file watcher (inotify)",
    "fanotify": "a file watcher (fanotify)",
    "pidfd": "a handle of another process (pidfd)",
    "io_uring": "a queue of input and output (io_uring)",
    "perf_event": "a performance counter (perf_event)",
}
TYPES = {socket.SOCK_STREAM: "TCP", socket.SOCK_DGRAM: "UDP"}


def describe(fd: int, target: str) -> str:
    """A phrase with its article. `target` is what its link in /proc/self/fd says."""
    if target.startswith("/memfd:"):
        return f"shared memory ({target[1:].removesuffix(' (deleted)')})"
    if target.startswith("/dev/"):
        return f"the device {target}"
    if target.startswith("/"):
        return f"the file {target}"
    kind = target.removeprefix("anon_inode:").partition(":")[0].strip("[]")
    if kind == "socket":
        return _socket(fd)
    return KINDS.get(kind, f"a descriptor of the kind {kind}")


def _socket(fd: int) -> str:
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return _unix(sock) if sock.family == socket.AF_UNIX else _network(sock)
    except OSError:
        return "a socket"


def _network(sock: socket.socket) -> str:
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return f"a socket of the family {getattr(sock.family, 'name', sock.family)}"
    kind = TYPES.get(sock.type, "raw")
    if _listens(sock):
        return f"a {kind} socket that listens on {_address(sock.getsockname())}"
    try:
        peer = _address(sock.getpeername())
    except OSError:  # not connected, or not yet
        return f"a {kind} socket"
    return f"a TCP connection to {peer}" if kind == "TCP" else f"a {kind} socket to {peer}"


def _unix(sock: socket.socket) -> str:
    if _listens(sock):
        return f"a Unix socket that listens on {_path(sock.getsockname())}"
    try:
        peer = sock.getpeername()
    except OSError:
        return "a Unix socket"
    return f"a connection to the Unix socket {_path(peer)}" if peer else "one end of a pair of sockets"


def _listens(sock: socket.socket) -> bool:
    return bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


def _address(address: tuple[str, int]) -> str:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    return f"{host}:{address[1]}"


def _path(name: str | bytes) -> str:
    text = os.fsdecode(name)
    return "@" + text[1:] if text.startswith("\0") else text  # an abstract name, as ss(8) writes it
