"""An open-loop client: a request every 1/rate seconds whether or not the last one is answered, each failure classified.

Half of the requests go over kept connections, half over new ones. Nothing is retried: what a retrying client would hide
is a failure here.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.e2e.kube import until

if TYPE_CHECKING:
    from types import TracebackType

TIMEOUT = 10.0  # seconds for an answer: a lost SYN is sent again after 1 s and 3 s, and isn't a failure
SHOWN = 8  # failures named in the text of an outcome


@dataclass
class Outcome:
    """What became of the requests. `failures` counts by kind: refused, reset, timeout, a status such as 503."""

    sent: int = 0
    answered: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    when: list[str] = field(default_factory=list)
    by_pid: Counter[str] = field(default_factory=Counter)  # who answered, as the sample application signs
    gap: float = 0.0  # longest time between two answers, seconds

    @property
    def failed(self) -> int:
        return self.failures.total()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.failures.most_common()) or "none"
        return f"{self.sent} sent, {self.answered} answered, failed: {kinds}; {'; '.join(self.when[:SHOWN])}"


class Load:
    """Runs beside the test from `with Load(url, rate)` to the end of the block, or to `stop()`."""

    def __init__(self, url: str, rate: float, *, path: str = "/healthz", kept: float = 0.5) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._rate, self._kept = rate, kept
        head = f"GET {path} HTTP/1.1\r\nHost: {parts.hostname}\r\n"
        self._requests = {True: f"{head}\r\n".encode(), False: f"{head}Connection: close\r\n\r\n".encode()}
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._drive()))
        self.outcome = Outcome()

    def __enter__(self) -> Load:
        self._begun = self._last = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> Outcome:
        """Send nothing more, wait for what is under way."""
        self._stopping.set()
        self._thread.join()
        return self.outcome

    def until_answered(self, count: int) -> None:
        """Wait for so many answers from now on."""
        before = self.outcome.answered
        until(lambda: self.outcome.answered >= before + count, f"{count} more answers; {self.outcome}")

    async def _drive(self) -> None:
        tasks: set[asyncio.Task[None]] = set()
        while not self._stopping.is_set():
            number = self.outcome.sent
            # What is late is sent at once: a client that can't keep up must not lower the rate.
            await asyncio.sleep(self._begun + number / self._rate - time.monotonic())
            task = asyncio.create_task(self._ask(keep=number % 100 < self._kept * 100))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            self.outcome.sent += 1
        await asyncio.gather(*tasks)
        for _, writer in self._idle:
            writer.close()

    async def _ask(self, *, keep: bool) -> None:
        begun = time.monotonic()
        try:
            async with asyncio.timeout(TIMEOUT):
                status, pid = await self._exchange(keep=keep)
        except Exception as error:
            self._failed(_kind(error), begun)
            return
        if status >= 500:
            self._failed(str(status), begun)
            return
        now = time.monotonic()
        self.outcome.answered += 1
        self.outcome.by_pid[pid] += 1
        self.outcome.gap, self._last = max(self.outcome.gap, now - self._last), now

    def _failed(self, kind: str, begun: float) -> None:
        self.outcome.failures[kind] += 1
        now = time.monotonic()
        self.outcome.when.append(f"{kind} at {now - self._begun:.2f} s after {now - begun:.3f} s")

    async def _exchange(self, *, keep: bool) -> tuple[int, str]:
        reader, writer = await self._connection(keep=keep)
        try:
            writer.write(self._requests[keep])
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(lines["content-length"]))
        except BaseException:
            writer.close()
            raise
        if keep and lines.get("connection") != "close":
            self._idle.append((reader, writer))
        else:
            writer.close()
        return int(head.split(" ", 2)[1]), lines.get("x-corepod-pid", "")

    async def _connection(self, *, keep: bool) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while keep and self._idle:
            reader, writer = self._idle.pop(0)
            if not reader.at_eof():
                return reader, writer
            with contextlib.suppress(OSError):
                writer.close()
        return await asyncio.open_connection(*self._address)


def _kind(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError | asyncio.IncompleteReadError):
        return "reset"
    if isinstance(error, TimeoutError):
        return "timeout"
    return type(error).__name__
