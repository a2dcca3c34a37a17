"""Which worker of a slot reads the slot's inbox: in a reload there are two for a while."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.worker.ipc.place import Place

LOOK = 0.01  # seconds between two looks at whether the old worker has stopped reading


class Turn:
    """Taken as soon as the worker serves and no other worker reads, and given back when it stops.

    Were two workers to read, what one sender has sent would come to the application in another order: the supervisor
    tells the old worker to stop when the new one serves already.
    """

    def __init__(self, place: Place, begun: Callable[[], None]) -> None:
        """`begun` is called at the beginning of the turn."""
        self._place, self._begun = place, begun
        self._waiting = False
        self.taken = False

    def take(self) -> None:
        """At once, or as soon as no other worker has it, unless this one stops before."""
        if self.taken or self._waiting:
            return
        try:
            self.taken = self._place.record.take_turn(self._slot)
        except OSError:  # a sandbox without locks, or the application has closed the descriptor: messages matter more
            self.taken = True
        if self.taken:
            self._begun()
        else:
            self._waiting = True
            self._place.loop.call_later(LOOK, self._look)

    def end(self) -> None:
        if self.taken:
            self.taken = False
            with suppress(OSError):
                self._place.record.end_turn(self._slot)

    def _look(self) -> None:
        self._waiting = False
        if self._place.serves:
            self.take()

    @property
    def _slot(self) -> int:
        assert self._place.me is not None
        return self._place.me.slot
