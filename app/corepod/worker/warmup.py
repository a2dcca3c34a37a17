"""One request to a stub, through the whole server and over a private socket pair: everything that a first request
imports, builds and touches is done before a client sends one. The user's application sees nothing of it."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from corepod.worker.application.instrumented import Instrumented
from corepod.worker.implementation import create_server

if TYPE_CHECKING:
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.server import Server
    from corepod.worker.settings import WorkerSettings

BEGINNING = 200  # bytes of an answer that are kept
REQUEST = b"GET / HTTP/1.1\r\nHost: warmup\r\nConnection: close\r\n\r\n"


async def stub(scope: Any, receive: Any, send: Any) -> None:
    """Asynchronous, because a synchronous endpoint would leave a thread in the template."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def warm_up(server: Server, instrumented: Instrumented) -> None:
    """Let this server serve one request, with the stub in the application's place.

    Raises RuntimeError where the answer isn't the stub's.
    """
    app, instrumented.app = instrumented.app, stub
    try:
        with server.warming_up():
            answer = await request(server, REQUEST)
    finally:
        instrumented.app = app
    if b" 200 " not in answer:
        raise RuntimeError(f"the warm-up request failed: the server answered {answer!r}")


async def warm_up_without_application(settings: WorkerSettings, record: ScoreboardRecord) -> None:
    """Before the application is imported, with a server that is made for this alone."""
    instrumented = Instrumented(stub, record)
    await warm_up(create_server(instrumented, settings, record, None), instrumented)


async def request(server: Server, text: bytes) -> bytes:
    """Let this server serve a request that asks it to close the connection; returns the beginning of the answer, of
    which everything is read."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server.connect(theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    try:
        writer.write(text)
        answer = b""
        while part := await reader.read(1 << 16):
            answer = (answer + part)[:BEGINNING]
    finally:
        writer.close()
    await writer.wait_closed()
    await server.connections.wait_closed(1.0)
    return answer
