"""Bytes to and from one client: reading and writing pause, and nobody is waited for longer than the settings say."""

from __future__ import annotations

import asyncio
from math import inf
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import BYTES_OUT
from corepod.worker.transport import on_the_way, unsent

if TYPE_CHECKING:
    from corepod.worker.http.patience import Facts, Verdict
    from corepod.worker.http.server import HttpServer

READ = 65536  # bytes read at a time; malloc gives asyncio's 256 KiB back to the kernel each time, and faults follow


class Flow(asyncio.Protocol):
    """asyncio's protocol, with one timer that is armed anew when it has fired, and not for every request."""

    __slots__ = (
        "_drained", "_looks_at", "_on_the_way", "_read_paused", "_stalls_since", "_timer", "server", "transport",
        "write_paused",
    )  # fmt: skip

    def __init__(self, server: HttpServer) -> None:
        self.server = server
        self.transport: Any = None
        self.write_paused = False  # the kernel hasn't taken all that was written
        self._read_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._stalls_since, self._on_the_way = 0.0, 0
        self._looks_at = inf
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        if hasattr(transport, "max_size"):  # of asyncio without TLS
            transport.max_size = READ

    def connection_lost(self, error: Exception | None) -> None:
        self._stop_looking()
        self.resume_writing()

    # Writing

    def write(self, data: bytes) -> None:
        """Hand it to the kernel, or keep it until the kernel takes it: then `write_paused` is true."""
        self.server.words[BYTES_OUT] += len(data)
        if self.write_paused:
            self._on_the_way += len(data)  # more that waits is no progress
        self.transport.write(data)

    def pause_writing(self) -> None:
        self.write_paused = True
        now = self.server.loop.time()
        self._stalls_since, self._on_the_way = now, sum(on_the_way(self.transport))
        self._look_by(now + self.server.patience.write)

    def resume_writing(self) -> None:
        self.write_paused = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    async def drained(self) -> None:
        """Wait until the kernel has taken everything, or the client has gone."""
        if self._drained is None:
            self._drained = self.server.loop.create_future()
        await asyncio.shield(self._drained)

    def unsent(self) -> int:
        """See `corepod.worker.connections.Connection`."""
        return unsent(self.transport)

    # Reading

    def pause_reading(self) -> None:
        """Let the client wait."""
        if not self._read_paused and not self.transport.is_closing():
            self._read_paused = True
            self.transport.pause_reading()

    def resume_reading(self) -> None:
        """Read on."""
        if self._read_paused:
            self._read_paused = False
            self.transport.resume_reading()

    # Waiting

    def _look_by(self, at: float) -> None:
        if at < self._looks_at:
            self._stop_looking()
            self._looks_at = at
            self._timer = self.server.loop.call_at(at, self._look)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._looks_at = inf
        now = self.server.loop.time()
        if self.write_paused and (left := sum(on_the_way(self.transport))) < self._on_the_way:
            self._stalls_since, self._on_the_way = now, left
        end, verdict = self.server.patience.end(self._facts(), now)
        if end > now:
            self._look_by(end)
        else:
            self._time_is_up(verdict)

    def _facts(self) -> Facts:
        """What the connection waits for."""
        raise NotImplementedError

    def _time_is_up(self, verdict: Verdict) -> None:
        """It has waited long enough."""
        raise NotImplementedError
