"""The setting `write_timeout`: a client that reads nothing is given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hypercorn.asyncio.worker_context import WorkerContext

from corepod.worker.arrival import ARRIVED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from corepod.worker.arrival import Arrival

    Facts = Mapping[int, object]  # what waits to be sent, each with something that changes when a part of it leaves

LOOKS = 4  # looks without a change after which a client is given up; they are spread over write_timeout
TRANSPORT = 0  # the key of what waits in the transport; every other key is the number of an HTTP/2 stream


class Unmoved:
    """Counts, for everything that waits, the looks since it has last changed."""

    def __init__(self) -> None:
        self._seen: dict[int, tuple[object, int]] = {}

    def look(self, facts: Facts) -> list[int]:
        """Take the present facts, and return the keys of what hasn't moved since `LOOKS` looks."""
        seen = self._seen
        self._seen = {
            key: (fact, seen[key][1] + 1 if key in seen and seen[key][0] == fact else 0) for key, fact in facts.items()
        }
        return [key for key, (_, looks) in self._seen.items() if looks >= LOOKS]


class WriteProgress:
    """The only timer of a connection for this. It runs while something waits."""

    def __init__(self, seconds: float, facts: Callable[[], Facts], give_up: Callable[[list[int]], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._pause, self._facts, self._give_up = seconds / LOOKS, facts, give_up
        self._timer: asyncio.TimerHandle | None = None
        self._unmoved = Unmoved()

    def waits(self) -> None:
        """Something has to wait until the client reads."""
        if self._timer is None and self._pause:
            self._unmoved = Unmoved()
            self._unmoved.look(self._facts())
            self._arm()

    def stop(self) -> None:
        """The connection has come to its end."""
        self._pause = 0.0
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        self._due = self._loop.time() + self._pause
        self._timer = self._loop.call_later(self._pause, self._look)

    def _look(self) -> None:
        self._timer = None
        if not (facts := self._facts()):
            return
        # A loop that was busy hasn't read yet what the client has sent meanwhile, an update of its window for example.
        late = self._loop.time() > self._due + self._pause
        if not late and (unmoved := self._unmoved.look(facts)):
            self._give_up(unmoved)
        if self._pause:
            self._arm()


class ConnectionContext(WorkerContext):
    """What the protocols of a connection know of it. Its `terminated` tells the connection to close when it is idle."""

    def __init__(self, transport: Any) -> None:
        super().__init__(None)
        self.transport = transport
        self.waits: Callable[[], None] = lambda: None  # called when something has to wait until the client reads
        self.waiting: Callable[[], Facts] = dict  # what waits in this process until the client reads

    @property
    def arrival(self) -> Arrival | None:
        """When requests arrived, None where nobody asks."""
        return getattr(self.transport.get_protocol(), "arrival", None)

    def note_arrival(self, scope: Any) -> None:
        """Tell the application's limits when this request arrived. Its task hasn't begun."""
        if (arrival := self.arrival) is not None:
            scope["extensions"][ARRIVED] = arrival.at
