"""Messages of a worker of a pool: its subscriptions, and how it joins those that get messages.

What is sent to a slot goes into the slot's inbox, which the worker that serves reads, and in which messages wait
between two workers. What is sent to everybody, and replies, go into each worker's own inbox: in a reload the slot has
two workers for a while, both of which have to hear a broadcast.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from corepod.worker.ipc import wire
from corepod.worker.ipc.directory import Directory
from corepod.worker.ipc.sending import Sending
from corepod.worker.ipc.taking import Taking
from corepod.worker.logs import log

if TYPE_CHECKING:
    from corepod.worker.ipc.place import Place
    from corepod.worker.ipc.subscription import Subscription


class Hub:
    """Belongs to the worker's event loop."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._directory = Directory(place.loop, place.control, place.record)
        self._sending = Sending(place, self._directory, self.joined)
        self._taking = Taking(place, self._directory, self._sending)
        self._joining: asyncio.Task[None] | None = None
        self.answered = self._directory.answered
        self.broadcast, self.send = self._sending.broadcast, self._sending.send
        self.request = self._sending.request
        self.place_changed = self._taking.place_changed

    def subscribe(self, topic: str) -> Subscription:
        """Begins at once; what is sent arrives as soon as the worker has its slot and its inboxes."""
        wire.topic_name(topic)
        subscription = self._taking.subscribe(topic)
        if self._joining is None:
            self._begin_to_join(quiet=False)
        return subscription

    async def joined(self) -> None:
        if self._joining is None:
            self._begin_to_join(quiet=True)
        assert self._joining is not None
        await asyncio.shield(self._joining)

    def close(self) -> None:
        """In a child of the worker: none of this is its own."""
        self._taking.close()
        self._directory.close()

    def _begin_to_join(self, *, quiet: bool) -> None:
        self._joining = self._place.loop.create_task(self._join(), name="corepod-ipc-join")
        self._joining.add_done_callback(lambda task: self._has_joined(task, quiet=quiet))

    def _has_joined(self, task: asyncio.Task[None], *, quiet: bool) -> None:
        if task.cancelled() or (error := task.exception()) is not None:
            self._joining = None  # the next use tries again
            if not task.cancelled() and not quiet:
                log.error("this worker gets no messages: %s", error)

    async def _join(self) -> None:
        await self._place.placed()
        while True:
            try:
                slots, own, lost = await self._directory.join()
                break
            except TimeoutError as error:  # subscriptions wait already, and nothing else would try again
                log.warning("this worker gets no messages yet, and asks again: %s", error)
        self._taking.begin(slots, own, lost)
