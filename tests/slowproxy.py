"""A TCP proxy that hinders: it delays, cuts, or swallows what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SlowProxy:
    """In the test's event loop, in front of `port`."""

    def __init__(self, port: int) -> None:
        self.port, self._server_port = 0, port
        self.delay = 0.0  # seconds before each part of an answer
        self.silent = False  # it accepts, and nothing comes through
        self.cuts = 0  # connections that are still to be cut in place of their next answer
        self.connections = 0  # accepted so far
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(OSError):
            other, to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
            self._writers.add(to_server)
            task = asyncio.create_task(self._answers(other, writer))
            self._tasks.add(task)
            while data := await reader.read(65536):
                if not self.silent:
                    to_server.write(data)
            to_server.close()
        writer.close()

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if self.cuts:
                    self.cuts -= 1
                    break
                if self.delay:
                    await asyncio.sleep(self.delay)
                if not self.silent:
                    writer.write(data)
        writer.close()

    def end(self) -> None:
        for writer in self._writers:
            writer.close()


@contextlib.asynccontextmanager
async def slow_proxy(port: int) -> AsyncIterator[SlowProxy]:
    """One that runs."""
    proxy = SlowProxy(port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        proxy.end()
        await asyncio.sleep(0)
