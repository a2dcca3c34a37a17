"""One request through the whole server over a private socket pair, to a stub: what a first request imports, builds and
touches is done before a real one comes. The user's application gets no request that it didn't ask for."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from corepod.worker.logs import RequestLog
from corepod.worker.serving import Server

if TYPE_CHECKING:
    from corepod.worker.board import Board

REQUEST = b"GET / HTTP/1.1\r\nHost: rehearsal\r\nConnection: close\r\n\r\n"


async def stub(scope: Any, receive: Any, send: Any) -> None:
    """Asynchronous, because a synchronous endpoint would leave a thread in the template."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def rehearse(settings: dict[str, Any], board: Board, server: Server | None = None) -> None:
    """Without a server, on one of its own, whose TLS files the settings name need not be readable yet."""
    plain = {**settings, "tls_cert": "", "tls_key": "", "access_log": False}
    server = server or Server(stub, plain, board)
    app, server.door.app = server.door.app, stub
    context, server.ssl = server.ssl, None
    log, server.config._log = server.config._log, RequestLog(server.config, board, access=False)
    try:
        answer = await _ask(server)
    finally:
        server.door.app, server.ssl, server.config._log = app, context, log
    if b" 200 " not in answer:
        raise RuntimeError(f"the rehearsal failed: hypercorn answered {answer[:200]!r}")


async def _ask(server: Server) -> bytes:
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    server.connect(theirs)
    reader, writer = await asyncio.open_connection(sock=ours)
    writer.write(REQUEST)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    await server.wait_closed(1.0)
    return answer
