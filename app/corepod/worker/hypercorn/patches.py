"""The patched classes, in the places where hypercorn looks for its own: they correct its faults, and refuse requests
that a public port should refuse.

ProtocolWrapper, TCPServer and the protocols look up classes by name in their modules. The tests in
tests/unit/worker/server hold each patch; docs/architecture.md says why hypercorn.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import hypercorn.asyncio.tcp_server
import hypercorn.protocol
import hypercorn.protocol.h2
import hypercorn.protocol.h11
import hypercorn.protocol.ws_stream
from hypercorn.asyncio.task_group import TaskGroup

from corepod.contract.listening import plain
from corepod.worker.hypercorn.deflate import BoundedDeflate
from corepod.worker.hypercorn.http1 import PatchedH11
from corepod.worker.hypercorn.http2 import PatchedH2
from corepod.worker.hypercorn.http2_buffer import SendBuffer
from corepod.worker.hypercorn.http_stream import PatchedHTTPStream
from corepod.worker.hypercorn.timed_body import TimedBody, expects_body
from corepod.worker.hypercorn.websocket import PatchedWebSocket


class Inbox(asyncio.Queue[Any]):
    """The messages that the application receives. With hypercorn's own queue, an application that answers without
    reading a long body never ends, because the message that would end it waits for room."""

    _endless = False

    def full(self) -> bool:
        return not self._endless and super().full()

    async def put(self, message: Any) -> None:
        if message["type"] in ("http.disconnect", "websocket.disconnect"):
            self._endless = True
        await super().put(message)

    def abandon(self) -> None:
        """The application has ended and reads no more: tasks that wait for room may go on."""
        self._endless = True
        while not self.empty():
            self.get_nowait()


class AppTasks(TaskGroup):
    """The tasks of a connection, each application with an Inbox."""

    async def spawn_app(self, app: Any, config: Any, scope: Any, send: Any) -> Any:
        inbox = Inbox(config.max_app_queue_size)
        self.spawn(self._run_app, app, config, scope, inbox, send)
        return inbox.put

    @staticmethod
    async def _run_app(app: Any, config: Any, scope: Any, inbox: Inbox, send: Any) -> None:
        body = TimedBody(config.body_timeout, inbox.get, send) if config.body_timeout and expects_body(scope) else None
        try:
            await (app(scope, inbox.get, send) if body is None else app(scope, body.receive, body.send))
        except Exception:
            # Frameworks turn the disconnect into an exception; the client has its answer.
            if body is None or not body.refused:
                await config.log.exception("the application raised an exception")
        finally:
            inbox.abandon()
            await send(None)


def plain_address(family: int, address: Any) -> tuple[str, int] | None:
    """Of one end of a connection, as the server of HTTP/1.1 gives it to the application."""
    return None if family == socket.AF_UNIX else (plain(address[0]), address[1])


def install() -> None:
    """Let hypercorn use these classes."""
    for module, name, patched in (
        (hypercorn.protocol, "H11Protocol", PatchedH11),
        (hypercorn.protocol, "H2Protocol", PatchedH2),
        (hypercorn.protocol.h11, "HTTPStream", PatchedHTTPStream),
        (hypercorn.protocol.h2, "HTTPStream", PatchedHTTPStream),
        (hypercorn.protocol.h11, "WSStream", PatchedWebSocket),
        (hypercorn.protocol.h2, "WSStream", PatchedWebSocket),
        (hypercorn.protocol.h2, "StreamBuffer", SendBuffer),
        (hypercorn.protocol.ws_stream, "PerMessageDeflate", BoundedDeflate),
        (hypercorn.asyncio.tcp_server, "TaskGroup", AppTasks),
        (hypercorn.asyncio.tcp_server, "parse_socket_addr", plain_address),
    ):
        if not hasattr(module, name):
            raise ImportError(f"this hypercorn has no {module.__name__}.{name}; corepod needs 0.18")
        setattr(module, name, patched)
