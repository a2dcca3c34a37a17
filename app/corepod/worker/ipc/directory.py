"""Who is in the pool, and how they are reached: what the supervisor is asked, and what of it is kept."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from corepod.contract.messages import INBOXES_MOST, InboxAnswer, InboxRequest
from corepod.worker.ipc.errors import NoSuchSlot
from corepod.worker.ipc.message import Sender
from corepod.worker.ipc.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from corepod.worker.control import Control
    from corepod.worker.scoreboard import ScoreboardRecord

ANSWER_TIMEOUT = 5.0  # seconds for the supervisor's answer
AT_ONCE = INBOXES_MOST - 2


class Directory:
    """Asks the supervisor only when something has changed."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control: Control, record: ScoreboardRecord) -> None:
        self.senders: dict[tuple[int, int], Sender] = {}  # by number and pid, some of them gone
        self._slots = 0
        self._loop, self._control, self._record = loop, control, record
        self._listening: dict[int, int] = {}  # slots of the workers that have an inbox of their own, by their numbers
        self._by_slot: dict[int, Outbox] = {}
        self._by_worker: dict[int, Outbox] = {}
        self._everybody: list[tuple[int, Outbox]] | None = None
        self._seen = -1
        self._removed = 0
        self._number = 0
        self._turn = asyncio.Lock()
        self._asking = 0  # callers that wait for the supervisor, or for their turn to ask it
        self._answer: asyncio.Future[tuple[InboxAnswer, list[int]]] | None = None

    # What is known

    def known(self, slot: int) -> Outbox | None:
        """The inbox of a slot, None where `slot` has to be asked for it: those that wait already come first."""
        if self._asking or self._seen != self._record.membership:
            return None
        return self._by_slot.get(slot)

    @property
    def everybody(self) -> list[tuple[int, Outbox]] | None:
        """The inboxes of all workers that have one, with their slots; None where `find_everybody` has to be asked."""
        if self._asking or self._seen != self._record.membership:
            return None
        return self._everybody

    # Questions

    async def join(self) -> tuple[int, int, int]:
        """The read ends of the slot's inbox and of this worker's own, and how many messages to the slot were lost."""
        async with self._in_turn():
            answer, fds = await self._ask(InboxRequest(0, True, [], []))
        return fds[0], fds[1], answer.lost

    async def refresh(self, *, force: bool = False) -> None:
        """Know what is true now."""
        if force or self._seen != self._record.membership:
            async with self._in_turn():
                await self._refresh(force=force)

    async def slot(self, number: int) -> Outbox:
        """Raises NoSuchSlot."""
        async with self._in_turn():
            await self._refresh()
            if number not in self._by_slot:
                _, fds = await self._ask(InboxRequest(0, False, [number], []))
                if not fds:
                    raise NoSuchSlot(number, self._slots)
                self._by_slot[number] = Outbox(fds[0], self._loop)
            return self._by_slot[number]

    async def find_everybody(self) -> list[tuple[int, Outbox]]:
        async with self._in_turn():
            await self._refresh()
            listening = dict(self._listening)  # as it is now: later answers may change it
            await self._find(list(listening))
            found = [(slot, self._by_worker[number]) for number, slot in listening.items() if number in self._by_worker]
            self._everybody = found if self._listening == listening else None
            return found

    async def worker(self, number: int) -> Outbox | None:
        """The worker's own inbox; None where it has none any more."""
        if number not in self._by_worker:
            async with self._in_turn():
                await self._find([number])
        return self._by_worker.get(number)

    @asynccontextmanager
    async def _in_turn(self) -> AsyncIterator[None]:
        self._asking += 1
        try:
            async with self._turn:
                yield
        finally:
            self._asking -= 1

    async def _refresh(self, *, force: bool = False) -> None:
        if force or self._seen != self._record.membership:
            await self._ask(InboxRequest(0, False, [], []))

    async def _find(self, numbers: list[int]) -> None:
        missing = [number for number in numbers if number not in self._by_worker]
        for at in range(0, len(missing), AT_ONCE):
            answer, fds = await self._ask(InboxRequest(0, False, [], missing[at : at + AT_ONCE]))
            for number, fd in zip(answer.workers, fds, strict=True):
                self._by_worker[number] = Outbox(fd, self._loop)

    def forget_slot(self, number: int, outbox: Outbox) -> None:
        """Nobody will ever read this inbox."""
        if self._by_slot.get(number) is outbox:
            self._by_slot.pop(number).close()

    # Answers

    async def _ask(self, request: InboxRequest) -> tuple[InboxAnswer, list[int]]:
        """Raises OSError where descriptors have run out, and TimeoutError."""
        self._number += 1
        request.number = self._number
        seen = self._record.membership  # before the question: what changes then is asked again
        self._answer = self._loop.create_future()
        self._control.send(request)
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                answer, fds = await self._answer
        except TimeoutError:
            raise TimeoutError(f"the supervisor hasn't answered within {ANSWER_TIMEOUT:g} s") from None
        finally:
            self._answer = None
        self._learn(answer, seen)
        self._check(request, answer, fds)
        return answer, fds

    def answered(self, answer: InboxAnswer, fds: list[int]) -> None:
        """The supervisor has answered."""
        if self._answer is not None and not self._answer.done() and answer.number == self._number:
            self._answer.set_result((answer, fds))
        else:
            _close(fds)  # too late

    def _check(self, request: InboxRequest, answer: InboxAnswer, fds: list[int]) -> None:
        if answer.why:
            raise OSError(f"the supervisor can't make an inbox: {answer.why}")
        slots = sum(0 <= slot < answer.slots for slot in request.slots)
        if len(fds) != 2 * request.join + slots + len(answer.workers):
            _close(fds)
            raise OSError(
                "this worker has no room for the descriptors of other workers' inboxes, one for each: raise its limit "
                "of open files (ulimit -n, or LimitNOFILE= of the service)"
            )

    def _learn(self, answer: InboxAnswer, seen: int) -> None:
        self._seen, self._slots, self._everybody = seen, answer.slots, None
        self.senders = {(number, pid): Sender(slot, number) for number, pid, slot, _ in answer.members}
        self._listening = {number: slot for number, _, slot, listens in answer.members if listens}
        if answer.removed != self._removed:
            self._removed = answer.removed
            while self._by_slot:
                self._by_slot.popitem()[1].close()
        for number in [number for number in self._by_worker if number not in self._listening]:
            self._by_worker.pop(number).close()

    def close(self) -> None:
        for outbox in (*self._by_slot.values(), *self._by_worker.values()):
            outbox.close_in_child()
        self._by_slot, self._by_worker = {}, {}


def _close(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
