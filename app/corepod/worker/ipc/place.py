"""Where messages of this process go: what its worker tells of itself, and the hub, which the first use makes.

A worker whose application sends no messages has only the few fields of this module.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import HANDED, TAKEN
from corepod.worker.logs import log

if TYPE_CHECKING:
    from corepod.contract.messages import InboxAnswer
    from corepod.worker.application.api import Worker
    from corepod.worker.control import Control
    from corepod.worker.ipc.hub import Hub
    from corepod.worker.scoreboard import ScoreboardRecord

LOOK = 0.01  # seconds between two looks at whether the application has got its messages


class Place:
    """A worker, or what becomes one, as far as its messages are concerned."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control: Control, record: ScoreboardRecord) -> None:
        self.loop, self.control, self.record = loop, control, record
        self.me: Worker | None = None
        self.ready = False
        self.serves = False  # it is the worker that reads its slot's inbox
        self._hub: Hub | None = None
        self._placed = asyncio.Event()

    @property
    def hub(self) -> Hub:
        """Raises RuntimeError outside of the worker's event loop."""
        if asyncio.get_running_loop() is not self.loop:
            raise RuntimeError("messages belong to the worker's event loop: elsewhere, use corepod.ipc.sync")
        if self._hub is None:
            from corepod.worker.ipc.hub import Hub

            self._hub = Hub(self)
        return self._hub

    async def placed(self) -> None:
        """Wait until it has a slot."""
        await self._placed.wait()

    def occupy(self, me: Worker) -> None:
        """It has a slot."""
        self.me = me
        self._placed.set()

    def begin(self) -> None:
        """It serves: what waits in its slot's inbox is for it."""
        self.ready = self.serves = True
        self._changed()

    def end(self) -> None:
        """It stops: the slot's next messages are for the next worker."""
        self.serves = False
        self._changed()

    @property
    def unheard(self) -> int:
        """How many messages were taken from the slot's inbox that the application hasn't got."""
        return self.record.words[TAKEN] - self.record.words[HANDED]

    async def heard(self, deadline: float) -> None:
        """Return when the application has got what was taken for it, or at `deadline`, by the loop's clock."""
        while (left := self.unheard) > 0:
            if self.loop.time() >= deadline:
                log.warning("%d message(s) that the application hasn't taken by the end of stop_timeout are lost", left)
                return
            await asyncio.sleep(LOOK)

    def answered(self, answer: InboxAnswer, fds: list[int]) -> None:
        """The supervisor has answered the hub."""
        self.hub.answered(answer, fds)

    def close(self) -> None:
        """This process is a child of the worker."""
        global _left
        _left = True
        if self._hub is not None:
            self._hub.close()

    def _changed(self) -> None:
        if self._hub is not None:
            self._hub.place_changed()


LEFT = "this process was forked by a worker and isn't one: it can't send messages"
TOO_EARLY = (
    "the worker's event loop doesn't run yet while the application is imported: use messages from its lifespan on, or "
    "corepod.ipc.sync in a thread that it starts"
)
NO_LOOP = "there is no running event loop here: in threads, use corepod.ipc.sync"

_expected = False  # this process is a pool's, or becomes a worker of one
_left = False  # it is a child that a worker has forked
_place: Place | None = None
_found = threading.Condition()
_local: Any = None


def expect() -> None:
    """This process belongs to a pool: whoever wants to send waits for its event loop."""
    global _expected
    _expected = True


def is_pools() -> bool:
    """Whether this process is a worker of a pool, or becomes one."""
    return _expected and not _left


def lacks_slot() -> bool:
    """Whether this process is a standby, which can't send yet."""
    return _place is not None and _place.me is None


def is_expected() -> bool:
    """Whether this process becomes a worker, and its event loop doesn't run yet."""
    return _expected and _place is None and not _left


def settle(place: Place) -> None:
    """The worker's event loop runs."""
    global _place
    with _found:
        _place = place
        _found.notify_all()


def hub() -> Any:
    """The hub for the running event loop: the pool's, or outside of a pool one of this process alone.

    Raises RuntimeError where there is no running event loop, or the process has no place in the pool.
    """
    if _left:
        raise RuntimeError(LEFT)
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(TOO_EARLY if _expected and _place is None else NO_LOOP) from None
    if _place is not None:
        return _place.hub
    if _expected:
        raise RuntimeError(TOO_EARLY)
    return local_hub()


def local_hub() -> Any:
    global _local
    if _local is None:
        from corepod.worker.ipc.local import LocalHub

        _local = LocalHub()
    return _local


def loop_for_threads() -> asyncio.AbstractEventLoop:
    """The event loop in which the messages of threads are sent; waits for the worker's where it doesn't run yet.

    Raises RuntimeError in a process that a worker has forked, and in the thread that imports the application, in which
    the event loop would never run.
    """
    if _left:
        raise RuntimeError(LEFT)
    if _expected:
        if _place is None and threading.current_thread() is threading.main_thread():
            raise RuntimeError(TOO_EARLY)
        with _found:
            _found.wait_for(lambda: _place is not None)
        assert _place is not None
        return _place.loop
    loop: asyncio.AbstractEventLoop = local_hub().loop_for_threads()
    return loop
