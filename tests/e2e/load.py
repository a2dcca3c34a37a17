"""An open-loop client: a request every 1/rate seconds whether or not the last one is answered, each failure classified.

Half of the requests go over kept connections, half over new ones. What a retrying client would hide is a failure here,
with one exception: a connection that is refused is tried once more after 50 ms, and counted. When endpoints change,
kube-proxy's rules can be without an answer for some milliseconds on a busy machine, and the node then refuses
connections also to a pod that nothing has happened to (seen while only another Service changed; never past kube-proxy).
A pod that has closed its port refuses for as long as kube-proxy doesn't know, up to a second: that shows all the same.
"""

from __future__ import annotations

import asyncio
import errno
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.e2e.kube import until

if TYPE_CHECKING:
    from types import TracebackType

# Seconds for an answer: a lost SYN is sent again after 1 s, 3 s and 7 s. Neither that nor a pause of a busy machine is
# a failure, and what has been lost is never answered.
TIMEOUT = 30.0
SECOND_TRY = 0.05  # seconds
SHOWN = 8  # failures named in the text of an outcome


@dataclass(frozen=True)
class Failure:
    """A request without an answer: refused, reset, timeout, or a status such as 503. Seconds since the load began;
    `connected`: when its connection was begun, for a kept one long before the request."""

    kind: str
    connected: float
    begun: float
    ended: float

    def __str__(self) -> str:
        return f"{self.kind} at {self.ended:.2f} s after {self.ended - self.begun:.3f} s"


@dataclass(frozen=True)
class Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    begun: float  # when this client began to open it


@dataclass
class Outcome:
    """What became of the requests."""

    sent: int = 0
    answered: int = 0
    tried_again: int = 0
    failures: list[Failure] = field(default_factory=list)

    @property
    def kinds(self) -> Counter[str]:
        return Counter(failure.kind for failure in self.failures)

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in self.kinds.most_common()) or "none"
        some = "; ".join(map(str, self.failures[:SHOWN]))
        return f"{self.sent} sent, {self.answered} answered, {self.tried_again} tried again, failed: {kinds}; {some}"


class Load:
    """Runs beside the test from `with Load(url, rate)` to the end of the block, or to `stop()`."""

    def __init__(self, url: str, rate: float, *, path: str = "/healthz", kept: float = 0.5) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        self._rate, self._kept = rate, kept
        head = f"GET {path} HTTP/1.1\r\nHost: {parts.hostname}\r\n"
        self._requests = {True: f"{head}\r\n".encode(), False: f"{head}Connection: close\r\n\r\n".encode()}
        self._idle: list[Connection] = []
        self._under_way: set[asyncio.Task[None]] = set()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._drive()))
        self.outcome = Outcome()

    @property
    def now(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self._begun

    def __enter__(self) -> Load:
        self._begun = time.monotonic()
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

    def until_settled(self) -> None:
        """Wait until nothing is under way that has been sent before now."""
        sent = self._under_way.copy()
        until(lambda: all(task.done() for task in sent), f"answers to {len(sent)} requests")

    async def _drive(self) -> None:
        while not self._stopping.is_set():
            number = self.outcome.sent
            # What is late is sent at once: a client that can't keep up must not lower the rate.
            await asyncio.sleep(number / self._rate - self.now)
            task = asyncio.create_task(self._ask(keep=number % 100 < self._kept * 100))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
            self.outcome.sent += 1
        await asyncio.gather(*self._under_way)
        for kept in self._idle:
            kept.writer.close()

    async def _ask(self, *, keep: bool) -> None:
        begun = self.now
        self._close_ended()
        connection = self._idle.pop(0) if keep and self._idle else None
        connected = connection.begun if connection else begun
        try:
            async with asyncio.timeout(TIMEOUT):
                connection = connection or await self._connect(begun)
                status = await self._exchange(connection, keep=keep)
        except Exception as error:
            self.outcome.failures.append(Failure(_kind(error), connected, begun, self.now))
            return
        if status >= 500:
            self.outcome.failures.append(Failure(str(status), connected, begun, self.now))
        else:
            self.outcome.answered += 1

    async def _exchange(self, connection: Connection, *, keep: bool) -> int:
        reader, writer = connection.reader, connection.writer
        try:
            writer.write(self._requests[keep])
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
            lines = dict(line.split(": ", 1) for line in head.split("\r\n")[1:] if line)
            await reader.readexactly(int(lines["content-length"]))
        except BaseException:
            writer.close()
            raise
        if keep and lines.get("connection") != "close":
            self._idle.append(connection)
        else:
            writer.close()
        return int(head.split(" ", 2)[1])

    def _close_ended(self) -> None:
        # What the other side has closed is closed here at once. Left open until its pod is gone, its port would be used
        # again while the node still has the old connection's way in its tables.
        for kept in self._idle:
            if kept.reader.at_eof():
                kept.writer.close()
        self._idle = [kept for kept in self._idle if not kept.reader.at_eof()]

    async def _connect(self, begun: float) -> Connection:
        try:
            reader, writer = await asyncio.open_connection(*self._address)
        except ConnectionRefusedError:
            self.outcome.tried_again += 1
            await asyncio.sleep(SECOND_TRY)
            reader, writer = await asyncio.open_connection(*self._address)
        return Connection(reader, writer, begun)


def _kind(error: Exception) -> str:
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError | asyncio.IncompleteReadError):
        return "reset"
    if isinstance(error, TimeoutError):
        return "timeout"
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, type(error).__name__)
