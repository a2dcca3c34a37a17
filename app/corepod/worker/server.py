"""What the worker needs of a server, whichever implements it: `corepod.worker.http` or `corepod.worker.hypercorn`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager

    from corepod.worker.arrival import Arrival
    from corepod.worker.connections import Connections


class Server(Protocol):
    """Serves an ASGI application on connections that it is handed; it neither binds nor listens nor accepts.

    It counts connections, bytes and the status of each response on the worker's scoreboard record. Requests are counted
    by the application it is given (`Instrumented`), which it calls without a wrapper of its own, and which it tells
    when the last byte of a response has been handed to the kernel (`answered`). Every method is called in the event
    loop's thread.
    """

    state: dict[str, Any]  # filled by the application's lifespan; the scope of each request has a copy of it
    connections: Connections

    def connect(self, sock: socket.socket) -> None:
        """Serve this accepted connection, which doesn't block and now belongs to the server."""

    def warming_up(self) -> AbstractContextManager[None]:
        """While it lasts, connections are served without TLS, and nothing is written to the access log."""

    def announce_close(self) -> None:
        """From now on every response asks its client to close the connection. Nothing is closed."""

    def close_websockets(self) -> None:
        """Close WebSockets with 1012 (service restart), now and as soon as new ones are accepted."""


class AdoptingServer(Server, Protocol):
    """A server that also takes over connections which another one has begun to serve."""

    def adopt(self, transport: Any, data: bytes, *, write_paused: bool, arrival: Arrival | None) -> None:
        """Serve this connection, which is counted as open already, and of which these bytes have been read.

        `write_paused`: its transport has asked for a pause in writing, and will tell when that is over. `arrival` says
        when these bytes arrived, where somebody asks.
        """
