"""Hubs of several workers in one process, with the supervisor's inboxes between them and the pool's answers faked."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.messages import InboxRequest
from corepod.contract.scoreboard import HANDED, TAKEN, WORDS
from corepod.supervisor.launch.inboxes import Inboxes
from corepod.supervisor.pool.state import Process, Slot, Stage
from corepod.worker.application.api import Worker
from corepod.worker.ipc import directory, place, taking, wire
from corepod.worker.ipc.errors import Full, NoSuchSlot
from corepod.worker.ipc.place import Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from corepod.contract.messages import InboxAnswer
    from corepod.contract.messages import Message as ControlMessage
    from corepod.worker.ipc.hub import Hub
    from corepod.worker.ipc.message import Message
    from corepod.worker.ipc.subscription import Subscription

    Start = Callable[[int], "Pool"]

TIME = 30.0


class Pool:
    """Stands for the supervisor and the scoreboard."""

    def __init__(self, slots: int) -> None:
        self.slots = [Slot(number, None) for number in range(slots)]
        self.membership = 0
        self.inboxes = Inboxes(self._changed)
        self.asked = 0
        self.pid = os.getpid()  # what the supervisor takes for the workers' pid
        self.members: list[Member] = []
        self.turns: dict[int, Member] = {}
        self.held: asyncio.Event | None = None  # no question is answered before it is set
        self._number = 0

    def _changed(self) -> None:
        self.membership += 1

    def close(self) -> None:
        for member in self.members:
            member.place.close()
            self.inboxes.forget(member.process.number)
        place._left = False
        for slot in self.slots:
            self.inboxes.remove_slot(slot.number)

    def start(self, slot: int) -> Member:
        self._number += 1
        process = Process(Stage.ARMED, 1, 0.0)
        process.has_pid(self.pid)
        process.take_place(self.slots[slot], self._number, 0, 0.0, 0.0)
        self.members.append(Member(self, process))
        return self.members[-1]


class Member:
    """One worker: its control socket and scoreboard record, as the hub sees them."""

    def __init__(self, pool: Pool, process: Process) -> None:
        self.pool, self.process = pool, process
        self.words = [0] * WORDS
        self.place = Place(asyncio.get_running_loop(), self, self)  # type: ignore[arg-type]
        assert process.slot is not None
        self.place.occupy(Worker(process.slot.number, process.number, None, 0, os.getpid()))
        self.place.begin()

    @property
    def hub(self) -> Hub:
        return self.place.hub

    @property
    def membership(self) -> int:
        return self.pool.membership

    def send(self, request: ControlMessage) -> None:
        assert isinstance(request, InboxRequest)
        self.pool.asked += 1
        assert self.process.slot is not None
        lost = self.process.slot.confess() if request.join else 0
        answer, fds, close = self.pool.inboxes.answer(request, self.process, len(self.pool.slots), lost)
        copies = [os.dup(fd) for fd in fds]
        for fd in close:
            os.close(fd)
        self.place.loop.create_task(self._answer(answer, copies))

    async def _answer(self, answer: InboxAnswer, fds: list[int]) -> None:
        if self.pool.held is not None:
            await self.pool.held.wait()
        self.place.answered(answer, fds)

    def take_turn(self, slot: int) -> bool:
        return self.pool.turns.setdefault(slot, self) is self

    def end_turn(self, slot: int) -> None:
        if self.pool.turns.get(slot) is self:
            del self.pool.turns[slot]

    def stop(self) -> asyncio.Task[None]:
        """It drains: done when the application has got what was taken for it."""
        self.place.end()
        return asyncio.create_task(self.place.heard(self.place.loop.time() + TIME))

    def die(self) -> None:
        assert self.process.slot is not None
        for inbox in (self.hub._taking._slots, self.hub._taking._own):
            if inbox is not None:
                inbox.pause()
        self.hub.close()
        self.end_turn(self.process.slot.number)
        self.process.slot.forget(self.process, self.words, 0, max(0, self.words[TAKEN] - self.words[HANDED]))
        self.pool.inboxes.forget(self.process.number)


@pytest.fixture
def start() -> Iterator[Callable[[int], Pool]]:
    pools: list[Pool] = []

    def make(slots: int) -> Pool:
        pools.append(Pool(slots))
        return pools[-1]

    yield make
    for pool in pools:
        pool.close()


async def get(messages: Subscription, count: int) -> list[Message]:
    async with asyncio.timeout(TIME):
        return [await anext(messages) for _ in range(count)]


async def take(messages: Subscription, count: int) -> list[Any]:
    return [message.data for message in await get(messages, count)]


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(TIME):
        while not condition():  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0)


async def two_wait(pool: Pool) -> tuple[Member, Member, Subscription]:
    """A sender, and a worker whose application has got the first one, 0, of three numbers that it has sent."""
    sender, receiver = pool.start(1), pool.start(0)
    messages = receiver.hub.subscribe("t")
    for number in range(3):
        await sender.hub.send(0, "t", number, TIME)
    assert await take(messages, 1) == [0]
    return sender, receiver, messages


async def successor(pool: Pool) -> Subscription:
    """Of the next worker of slot 0, which serves already."""
    new = pool.start(0)
    later = new.hub.subscribe("t")
    await new.hub.joined()
    return later


async def test_the_supervisor_is_asked_only_when_something_has_changed(start: Start) -> None:
    pool = start(2)
    first, second = pool.start(0), pool.start(1)
    messages = second.hub.subscribe("t")
    await second.hub.joined()
    await first.hub.broadcast("t", 0, TIME)
    await first.hub.send(1, "t", 0, TIME)
    assert len(await take(messages, 2)) == 2
    asked = pool.asked
    for number in range(50):
        await first.hub.broadcast("t", number, TIME)
        await first.hub.send(1, "t", number, TIME)
    assert sorted(await take(messages, 100)) == sorted([*range(50), *range(50)])
    assert pool.asked == asked


async def test_a_message_waits_for_the_next_worker_and_a_reload_takes_turns(start: Start) -> None:
    pool = start(2)
    sender = pool.start(1)
    for number in range(10):
        await sender.hub.send(0, "t", number, TIME)
    old = pool.start(0)
    messages = old.hub.subscribe("t")
    assert await take(messages, 10) == list(range(10))
    later = await successor(pool)
    assert await sender.hub.broadcast("t", "both", TIME) == []
    assert [await take(messages, 1), await take(later, 1)] == [["both"], ["both"]]
    old.place.end()
    await sender.hub.send(0, "t", 10, TIME)
    assert await take(later, 1) == [10]


async def test_a_new_worker_takes_nothing_of_its_slot_before_the_old_one_has_stopped(start: Start) -> None:
    pool = start(2)
    sender, old = pool.start(1), pool.start(0)
    messages = old.hub.subscribe("t")
    await old.hub.joined()
    later = await successor(pool)
    old.hub._taking._slots.pause()  # type: ignore[union-attr]  # it is slow
    for number in range(10):
        await sender.hub.send(0, "t", number, TIME)
    assert await sender.hub.broadcast("t", "there", TIME) == []
    assert await take(later, 1) == ["there"], "and no number"
    old.hub._taking._slots.resume()  # type: ignore[union-attr]
    assert [data for data in await take(messages, 11) if data != "there"] == list(range(10))
    old.place.end()
    await sender.hub.send(0, "t", 10, TIME)
    assert await take(later, 1) == [10]


async def test_nothing_is_read_before_the_sender_of_a_message_is_known(start: Start) -> None:
    pool = start(2)
    _, receiver, messages = await two_wait(pool)
    second = pool.start(1)
    await second.hub.joined()
    await second.hub.send(0, "t", "before", TIME)  # it has asked for the way, which nobody answers from now on
    pool.held = asyncio.Event()
    receiver.hub._directory.senders.clear()
    await second.hub.send(0, "t", 3, TIME)
    await until(lambda: receiver.hub._taking._asking)
    assert await take(messages, 2) == [1, 2], "there is room for more"
    assert receiver.hub._taking._slots is not None
    assert not receiver.hub._taking._slots.reading
    pool.held.set()
    assert await take(messages, 2) == ["before", 3]


async def test_what_the_old_worker_has_taken_comes_before_what_the_new_one_takes(start: Start) -> None:
    pool = start(2)
    sender, old, messages = await two_wait(pool)
    later = await successor(pool)
    stopped = old.stop()
    await sender.hub.send(0, "t", 3, TIME)
    assert await sender.hub.broadcast("t", "there", TIME) == []
    assert await take(later, 1) == ["there"]
    assert not stopped.done(), "it has something for the application yet"
    assert pool.turns[0] is old
    assert await take(messages, 3) == [1, 2, "there"]
    await asyncio.wait_for(stopped, TIME)
    assert await take(later, 1) == [3]


async def test_what_the_application_does_not_take_is_said_at_the_end(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(2)
    _, receiver, _kept = await two_wait(pool)
    receiver.place.end()
    await receiver.place.heard(receiver.place.loop.time())
    assert "2 message(s) that the application hasn't taken by the end of stop_timeout are lost" in caplog.text


async def test_broadcasts_that_waited_make_room_for_messages_to_the_slot(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(1), pool.start(0)
    everybody, one = receiver.hub.subscribe("all"), receiver.hub.subscribe("one")
    await receiver.hub.joined()
    for number in range(100):
        assert await sender.hub.broadcast("all", number, TIME) == []
    await until(lambda: len(everybody._waiting) == 100)
    await sender.hub.send(0, "one", "first", TIME)
    assert await take(one, 1) == ["first"]
    assert await take(everybody, 100) == list(range(100))
    await sender.hub.send(0, "one", "second", TIME)
    assert await take(one, 1) == ["second"]


async def test_a_worker_is_no_stranger_because_the_supervisor_is_slow(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = start(2)
    receiver = pool.start(0)
    messages = receiver.hub.subscribe("t")
    sender = pool.start(1)
    await asyncio.gather(receiver.hub.joined(), sender.hub.joined())
    await sender.hub.send(0, "t", "before", TIME)
    assert await take(messages, 1) == ["before"]
    receiver.hub._directory.senders.clear()
    monkeypatch.setattr(directory, "ANSWER_TIMEOUT", 0.05)
    pool.held = asyncio.Event()
    await sender.hub.send(0, "t", "asked about", TIME)
    asked = pool.asked
    await until(lambda: pool.asked >= asked + 3)
    monkeypatch.setattr(directory, "ANSWER_TIMEOUT", TIME)
    pool.held.set()
    await sender.hub.send(0, "t", "after", TIME)
    assert await take(messages, 2) == ["asked about", "after"]


async def test_a_loss_is_told_with_the_first_message_that_somebody_gets(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(1), pool.start(0)
    held = receiver.hub.subscribe("t")
    await sender.hub.send(0, "t", "lost", TIME)
    await until(lambda: held._waiting)
    receiver.die()
    later = pool.start(0).hub.subscribe("t")
    await sender.hub.send(0, "nobody's", None, TIME)
    await sender.hub.send(0, "t", "first", TIME)
    (first,) = await get(later, 1)
    assert (first.data, first.lost) == ("first", 1)


async def test_a_sender_that_waits_for_an_inbox_of_nobody_leaves_nothing_behind(start: Start) -> None:
    sender = start(2).start(1)
    with pytest.raises(Full):  # noqa: PT012 - one of them is refused
        for _ in range(1000):
            await sender.hub.send(0, "t", bytes(50_000), 0.0)
    waiting = asyncio.create_task(sender.hub.send(0, "t", bytes(50_000), TIME))
    outbox = sender.hub._directory._by_slot[0]
    fd = outbox._socket.fileno()
    selector = sender.place.loop._selector  # type: ignore[attr-defined]
    await until(lambda: fd in selector.get_map())
    outbox.close()
    assert fd not in selector.get_map()
    waiting.cancel()


async def test_a_message_of_somebody_else_is_refused_and_it_is_said_once(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start(1)
    receiver = pool.start(0)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    _, fds, _ = pool.inboxes.answer(InboxRequest(1, False, [0], []), receiver.process, 1, 0)
    with caplog.at_level(logging.WARNING), socket.socket(fileno=os.dup(fds[0])) as write:
        for _ in range(2):
            write.send(wire.content("t", "forged").packet(wire.MESSAGE, 77))
        write.send(b"nonsense")
        write.send(bytes(wire.PACKET_MOST + 10))
        await receiver.hub.send(0, "t", "mine", TIME)
        assert await take(messages, 1) == ["mine"]
    said = [record.message for record in caplog.records]
    assert said == [f"a message was dropped: process {os.getpid()} isn't worker 77 of this pool"]
    assert receiver.words[TAKEN] == receiver.words[HANDED] == 3


async def test_a_worker_whose_pid_is_anothers_is_no_sender(start: Start, caplog: pytest.LogCaptureFixture) -> None:
    pool = start(2)
    receiver = pool.start(0)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    pool.pid = 1  # the kernel will say otherwise
    impostor = pool.start(1)
    with caplog.at_level(logging.WARNING):
        await impostor.hub.send(0, "t", "forged", TIME)
        pool.pid = os.getpid()
        await pool.start(1).hub.send(0, "t", "mine", TIME)
        assert await take(messages, 1) == ["mine"]
    assert "isn't worker 2 of this pool" in caplog.text


async def test_a_full_inbox_and_what_a_broadcast_misses(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(0), pool.start(1)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    assert receiver.hub._taking._own is not None
    receiver.hub._taking._own.pause()
    receiver.place.end()
    sent = 0
    while not (missed := await sender.hub.broadcast("t", sent, 0.0)):
        sent += 1
    assert missed == [1]
    assert await sender.hub.broadcast("t", "missed", 0.0) == [1]
    with pytest.raises(Full, match="the inbox of slot 1 had no room within 0 s"):  # noqa: PT012 - one of them is refused
        for _ in range(1000):
            await sender.hub.send(1, "u", bytes(50_000), 0.0)
    receiver.hub._taking._own.resume()
    waiting = asyncio.create_task(sender.hub.broadcast("t", "late", TIME))
    found = await get(messages, sent + 1)
    assert await waiting == []
    assert [message.data for message in found] == [*range(sent), "late"]
    assert found[-1].lost == 2


async def test_what_a_dead_worker_had_taken_is_said_to_the_next_one(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(0), pool.start(1)
    messages = receiver.hub.subscribe("t")
    for number in range(200):
        await sender.hub.send(1, "t", number, TIME)
    assert await take(messages, 10) == list(range(10))
    taken = receiver.words[TAKEN]
    assert 10 < taken <= 10 + 64 + 32, "it takes no more than it needs"
    receiver.die()
    later = pool.start(1).hub.subscribe("t")
    (first,) = await get(later, 1)
    assert (first.data, first.lost) == (taken, taken - 10)
    assert await take(later, 199 - taken) == list(range(taken + 1, 200))


async def test_a_slot_that_was_removed_and_is_there_again_has_another_inbox(start: Start) -> None:
    pool = start(2)
    sender = pool.start(0)
    await sender.hub.send(1, "t", "lost", TIME)
    removed = pool.slots.pop()
    assert pool.inboxes.remove_slot(removed.number)
    with pytest.raises(NoSuchSlot):
        await sender.hub.send(1, "t", "nowhere", TIME)
    pool.slots.append(Slot(1, None))
    await sender.hub.send(1, "t", "new", TIME)
    assert await take(pool.start(1).hub.subscribe("t"), 1) == ["new"]


async def test_a_reply_to_a_worker_that_is_gone_fails(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(0), pool.start(1)
    messages = receiver.hub.subscribe("q")
    request = asyncio.create_task(sender.hub.request(1, "q", 1, TIME))
    (message,) = await get(messages, 1)
    request.cancel()
    sender.die()
    await receiver.hub.broadcast("x", None, TIME)
    assert await message.reply(2) is False


async def test_a_call_that_is_cancelled_anywhere_leaves_nothing_behind(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(0), pool.start(1)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    receiver.place.end()  # nobody answers
    for turns in range(12):
        pool.membership += 1  # the supervisor is asked again
        calls = [
            asyncio.ensure_future(call)
            for call in (sender.hub.request(1, "t", -1, TIME), sender.hub.broadcast("t", -1, TIME))
        ]
        for _ in range(turns):
            await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
    assert not sender.hub._sending._requests
    assert (sender.hub._directory._asking, sender.hub._directory._turn.locked()) == (0, False)
    receiver.place.begin()
    assert await sender.hub.broadcast("t", "last", TIME) == []
    async with asyncio.timeout(TIME):
        while (await anext(messages)).data != "last":
            pass


async def test_tasks_that_send_while_the_supervisor_is_asked_keep_their_order(start: Start) -> None:
    pool = start(2)
    sender, receiver = pool.start(0), pool.start(1)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    tasks = []
    for number in range(40):
        if number % 8 == 0:
            pool.membership += 1
        tasks.append(asyncio.create_task(sender.hub.send(1, "t", number, TIME)))
        await asyncio.sleep(0)
    assert await take(messages, 40) == list(range(40))
    await asyncio.gather(*tasks)


async def test_a_worker_that_does_not_read_holds_up_a_broadcaster_once(start: Start) -> None:
    pool = start(2)
    sender, stopped, reader = pool.start(0), pool.start(1), pool.start(0)
    messages = reader.hub.subscribe("t")
    held = stopped.hub.subscribe("t")
    await asyncio.gather(stopped.hub.joined(), reader.hub.joined())
    own = stopped.hub._taking._own
    assert own is not None
    own.pause()
    sent = 0
    while not await sender.hub.broadcast("t", bytes(50_000), 0.001):
        sent += 1
    async with asyncio.timeout(TIME):
        for _ in range(5):
            assert await sender.hub.broadcast("t", "on", 10 * TIME) == [1]
    assert [len(await take(messages, sent + 6))] == [sent + 6]
    own.resume()
    await take(held, sent)
    assert await sender.hub.broadcast("t", "again", TIME) == []
    assert [(one.data, one.lost) for one in await get(held, 1)] == [("again", 6)]


async def test_whoever_invents_senders_fills_no_log_and_asks_no_more(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking, "STRANGERS_MOST", 3)
    monkeypatch.setattr(taking, "STRANGERS_PAUSE", 0.001)
    pool = start(1)
    receiver = pool.start(0)
    messages = receiver.hub.subscribe("t")
    await receiver.hub.joined()
    _, fds, _ = pool.inboxes.answer(InboxRequest(1, False, [0], []), receiver.process, 1, 0)
    with caplog.at_level(logging.WARNING), socket.socket(fileno=os.dup(fds[0])) as write:
        for number in range(10):
            write.send(wire.content("t", "forged").packet(wire.MESSAGE, 70 + number))
        await receiver.hub.send(0, "t", "mine", TIME)
        assert await take(messages, 1) == ["mine"]
    assert len(caplog.records) == 4
    assert caplog.records[-1].message.endswith("not named any more")


async def test_a_supervisor_that_is_late_is_asked_again(
    start: Start, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(directory, "ANSWER_TIMEOUT", 0.01)
    pool = start(1)
    worker = pool.start(0)
    asked, thrice = [], asyncio.Event()

    def ignore(request: ControlMessage) -> None:
        asked.append(request)
        if len(asked) == 3:
            thrice.set()

    monkeypatch.setattr(worker, "send", ignore)
    messages = worker.hub.subscribe("t")
    await asyncio.wait_for(thrice.wait(), TIME)
    monkeypatch.undo()
    await worker.hub.joined()
    assert await worker.hub.broadcast("t", 1, TIME) == []
    assert await take(messages, 1) == [1]
    assert "asks again" in caplog.text
