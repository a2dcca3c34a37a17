"""The output of a local pool's workers: read line by line, so that lines of different workers stay whole, and written
on, with the worker's name where that is wanted."""

from __future__ import annotations

import os
import select

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from corepod.supervisor.io.log import StreamLog
    from corepod.supervisor.io.loop import Loop
    from corepod.supervisor.io.sink import Sink

    class Named(Protocol):
        """A process, whose name in the log changes as it goes from one stage to the next."""

        @property
        def who(self) -> dict[str, Any]: ...


CHUNK = 65536
GAP = 5  # milliseconds without a byte after which stacks are complete
GAPS = 20  # so many of them a wake-up may take: what trickles in without end must not keep the supervisor
STACKS_MOST = 128 * 1024  # bytes of them in one entry of the log
ANSWER = 0.5  # seconds in which an interpreter answers that isn't in a call into C
KEPT = 30.0  # seconds for which somebody may ask for what has come
LONGEST_LINE = 256 * 1024  # what is longer is cut into pieces: a line must not fill PID 1's memory
PARTIAL = 0.25  # seconds without a byte after which a line without an end is passed on, such as a question or a dot


class Relay:
    """One pipe. Lives until its last writer is gone, which may be a grandchild long after the worker."""

    def __init__(self, fd: int, loop: Loop, log: StreamLog, sink: Sink, source: Named) -> None:
        os.set_blocking(fd, False)
        self._fd, self._loop, self._log, self._sink = fd, loop, log, sink
        self._rest = b""
        self._source = source
        loop.add(fd, select.EPOLLIN, self._readable)

    def _readable(self, mask: int) -> None:
        # One read a wake-up: a worker that floods its log must not keep the others from being heard.
        try:
            data = os.read(self._fd, CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.close()
            return
        self._take(data)

    def _take(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._log.relay(self._sink, line, self._source.who)
        if len(self._rest) > LONGEST_LINE:
            self._pass_on_rest()
        elif self._rest:
            self._loop.call_at(self._loop.now() + PARTIAL, self._pass_on_rest)

    def _pass_on_rest(self) -> None:
        if self._rest:
            self._log.relay(self._sink, self._rest, self._source.who)
            self._rest = b""

    def close(self) -> None:
        self._pass_on_rest()
        self._loop.cancel(self._pass_on_rest)
        self._loop.remove(self._fd)
        os.close(self._fd)


class Stacks:
    """The pipe into which a worker writes its stacks when it is asked to, and what it has written of late."""

    def __init__(self, fd: int, loop: Loop, log: StreamLog, source: Named) -> None:
        os.set_blocking(fd, False)
        self._fd, self._loop, self._log = fd, loop, log
        self._source = source
        self._otherwise: Callable[[], None] | None = None
        self.kept: str | None = None  # since they were last asked for; None where nobody wants them any more
        loop.add(fd, select.EPOLLIN, self._readable)

    def expect(self, otherwise: Callable[[], None]) -> None:
        """They have been asked for. They are kept for a while, and `otherwise` is called if none come soon."""
        self.kept, self._otherwise = "", otherwise
        self._loop.call_at(self._loop.now() + ANSWER, self._unanswered)
        self._loop.call_at(self._loop.now() + KEPT, self.forget)

    def forget(self) -> None:
        """Nobody asks for what is kept."""
        self.kept = None
        self._loop.cancel(self.forget)

    def _unanswered(self) -> None:
        if self._otherwise is not None and not self.kept:
            self._otherwise()

    def _readable(self, mask: int) -> None:
        # The interpreter writes them word by word: taken as they come, they would be torn into many entries.
        data, more = b"", select.poll()
        more.register(self._fd, select.POLLIN)
        deadline = self._loop.now() + GAPS * GAP / 1000
        while len(data) < STACKS_MOST and self._loop.now() < deadline and more.poll(GAP):
            part = os.read(self._fd, CHUNK)
            if not part:
                self.close()
                break
            data += part
        if data:
            text = data.decode("utf-8", "replace")
            if self.kept is not None:
                self.kept = (self.kept + text)[:STACKS_MOST]
            self._log.warning("stacks:\n" + text.rstrip(), **self._source.who)

    def close(self) -> None:
        self.forget()
        self._loop.cancel(self._unanswered)
        self._loop.remove(self._fd)
        os.close(self._fd)
