"""Where a process listens, for the supervisor's sockets and the operator's: `*` is all addresses of the machine, IPv4
and IPv6, by one socket. ss(8) writes such a socket the same way.
"""

from __future__ import annotations

import errno
import socket

ALL = "*"
# The hosts that mean all addresses, and how a client on this machine reaches what listens there.
EVERYWHERE = {ALL: "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
# What says that there is no IPv6: a kernel without it, or a sandbox that allows only IPv4. An interface without an
# IPv6 address isn't among them: the kernel lets a socket listen on :: there, and it gets what comes by IPv4.
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.ENOPROTOOPT)
MAPPED = "::ffff:"  # before the IPv4 address of a peer, on a socket of both families (RFC 4291, section 2.5.5.2)


def bound(host: str, port: int, kind: socket.SocketKind, protocol: int = 0) -> socket.socket:
    """A socket bound to this address, which doesn't listen yet. IPv6 addresses are without brackets. Raises OSError."""
    if host != ALL:
        return _bound(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port, kind, protocol)
    try:
        return _bound(socket.AF_INET6, "::", port, kind, protocol, both=True)
    except OSError as error:
        if error.errno not in NO_IPV6:
            raise
    return _bound(socket.AF_INET, "0.0.0.0", port, kind, protocol)


def _bound(
    family: socket.AddressFamily, host: str, port: int, kind: socket.SocketKind, protocol: int, *, both: bool = False
) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        if both:  # net.ipv6.bindv6only may say otherwise
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if kind == socket.SOCK_STREAM:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def has_ipv6() -> bool:
    """Whether `*` is IPv6, too, on this machine."""
    try:
        socket.socket(socket.AF_INET6, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def name(sock: socket.socket) -> str:
    """HOST:PORT of a bound TCP or UDP socket, as settings have it."""
    host, port = sock.getsockname()[:2]
    if host == "::" and not sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY):
        host = ALL
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url(address: str) -> str:
    """Where a client on this machine finds what listens at this address, a Unix socket's as it is."""
    host, _, port = address.rpartition(":")
    if address.startswith("unix:") or not host:
        return address
    return f"http://{'localhost' if host == ALL else host}:{port}"


def plain(address: str) -> str:
    """The IP address of a peer, an IPv4 address without the prefix that it has on a socket of both families."""
    return address.removeprefix(MAPPED) if "." in address else address


def same(address: str, other: str) -> bool:
    """Whether a socket of the name `other` may be what came of `address`: without IPv6 `*` becomes 0.0.0.0, and [::]
    gets what comes by IPv4 unless net.ipv6.bindv6only says otherwise."""
    (host, _, port), (other_host, _, other_port) = address.rpartition(":"), other.rpartition(":")
    return address == other or (port == other_port and {host, other_host} <= EVERYWHERE.keys())
