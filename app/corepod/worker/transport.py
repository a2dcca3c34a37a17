"""Accepted sockets as transports of asyncio or uvloop, for whichever implementation serves them."""

from __future__ import annotations

import fcntl
import struct
import termios
from asyncio.sslproto import SSLProtocol
from typing import TYPE_CHECKING, Any

from corepod.contract.listening import plain

if TYPE_CHECKING:
    import asyncio
    import socket
    import ssl
    from collections.abc import Callable

HANDSHAKE = 10.0  # seconds a TLS handshake may take
TLS_FAREWELL = 2.0  # seconds a client has to answer the close of TLS
LINGER = 5.0  # seconds a client has to stop sending what nobody reads

Address = tuple[str, int] | None


async def greet(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    tls: ssl.SSLContext | None,
    make_protocol: Callable[[], asyncio.BaseProtocol],
) -> asyncio.Transport | None:
    """The transport of this socket, after its TLS handshake. Where its client has gone, was too slow, or doesn't speak
    TLS, the socket is closed, and the result is None."""
    limits = {"ssl_handshake_timeout": HANDSHAKE, "ssl_shutdown_timeout": TLS_FAREWELL} if tls else {}
    try:
        transport, _ = await loop.connect_accepted_socket(make_protocol, sock, ssl=tls, **limits)
    except OSError:
        sock.close()
        return None
    wait_for_kernel(transport)
    return transport


def wait_for_kernel(transport: Any) -> None:
    """Let a write end when the kernel has all of it, and not when less than 64 KiB are left: what is still in this
    process when it dies is lost."""
    # TLS counts as full when as many bytes are waiting as the limit says: with 0 it always would be.
    tls = transport.get_extra_info("sslcontext") is not None
    transport.set_write_buffer_limits(high=1 if tls else 0)
    # asyncio's TLS has a second buffer below its own. uvloop hides it.
    protocol = getattr(transport, "_ssl_protocol", None)
    below = getattr(protocol, "_transport", None)
    if below is not None:
        below.set_write_buffer_limits(high=0)
        if type(protocol) is SSLProtocol:
            protocol.__class__ = _WholeSSLProtocol


class _WholeSSLProtocol(SSLProtocol):
    """It also counts what the transport below it hasn't handed to the kernel. Without that a write of any size would be
    over at once, and a response would be cut off two seconds later, when TLS has waited long enough for its end."""

    def _get_write_buffer_size(self) -> int:
        below: Any = self._transport
        size: int = super()._get_write_buffer_size()  # type: ignore[misc]
        return size if below is None else size + int(below.get_write_buffer_size())


def addresses(transport: asyncio.BaseTransport) -> tuple[Address, Address] | None:
    """The client's and the server's address, None each for a Unix socket. None for a client that has gone already:
    without an address it would pass for a local one. IPv4 addresses are plain, whichever socket it came to."""
    client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
    if isinstance(client, tuple) and isinstance(server, tuple):
        return (plain(client[0]), client[1]), (plain(server[0]), server[1])
    # What a Unix socket is called is a text, and may be an empty one.
    return None if client is None or isinstance(server, tuple) else (None, None)


def on_the_way(transport: Any) -> tuple[int, int]:
    """Bytes that wait in this process, and bytes in the kernel that the client's side hasn't acknowledged.

    A client that reads changes one of them. The kernel's share counts as well: with megabytes of room there, it takes
    no more from this process for minutes while a slow client reads on.
    """
    try:
        fd = transport.get_extra_info("socket").fileno()
        (kernel,) = struct.unpack("i", fcntl.ioctl(fd, termios.TIOCOUTQ, b"\0\0\0\0"))
    except (OSError, ValueError):  # closed by now, or a socket that has no such number
        kernel = 0
    return unsent(transport), kernel


def unsent(transport: Any) -> int:
    """Bytes that wait in this process for the kernel to take them. uvloop hides up to 64 KiB of TLS."""
    return int(transport.get_write_buffer_size())
