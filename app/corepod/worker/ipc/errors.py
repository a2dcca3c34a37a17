"""What can go wrong with a message. `corepod.ipc` has these names, too."""

from __future__ import annotations


class Full(Exception):
    """The inbox of `slot` had no room in time: its worker doesn't take its messages as fast as they come, or at all."""

    def __init__(self, slot: int, timeout: float) -> None:
        super().__init__(f"the inbox of slot {slot} had no room within {timeout:g} s")
        self.slot = slot


class NoSuchSlot(LookupError):
    """The pool has no slot of this number now."""

    def __init__(self, slot: int, slots: int) -> None:
        super().__init__(f"there is no slot {slot}: the pool has slots from 0 to {slots - 1}")
        self.slot = slot


class NobodyListens(Exception):
    """The worker that has got a request has no subscription to its topic."""

    def __init__(self, slot: int, topic: str) -> None:
        super().__init__(f"the worker in slot {slot} has no subscription to {topic!r}")
        self.slot, self.topic = slot, topic
