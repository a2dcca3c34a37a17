"""Queues of subscriptions: in order, none twice, and what is dropped is said by the next one."""

from __future__ import annotations

import asyncio
import gc

import pytest
from corepod.worker.ipc import subscription as subscriptions
from corepod.worker.ipc import wire
from corepod.worker.ipc.message import Sender
from corepod.worker.ipc.subscription import Subscription, Topics
from hypothesis import given
from hypothesis import strategies as st


def packet(number: int) -> wire.Packet:
    return wire.decode(wire.content("t", number).packet(wire.MESSAGE, 1))


def put(subscription: Subscription, number: int, lost: int = 0) -> bool:
    return subscription.put(packet(number), Sender(0, 1), lost, None, counted=True)


# True: a message comes, with so many that the sender has missed before it; False: the application takes one.
@given(st.lists(st.booleans(), max_size=60), st.integers(1, 5))
def test_everything_is_taken_in_order_once_or_said_to_be_lost(steps: list[bool], room: int) -> None:
    async def play() -> None:
        handed: list[int] = []
        subscription = Subscription(Topics(handed.append), "t")
        came, taken = 0, []
        for comes in steps:
            if comes:
                put(subscription, came)
                came += 1
            elif subscription._waiting:
                taken.append(await anext(subscription))
        while subscription._waiting:
            taken.append(await anext(subscription))
        put(subscription, came)
        taken.append(await anext(subscription))
        expected = 0
        for message in taken:
            assert message.data == expected + message.lost, "what is missing is what is said to be lost"
            expected = message.data + 1
        assert expected == came + 1
        assert sum(handed) == len(taken)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subscriptions, "COUNT_MOST", room)
        asyncio.run(play())


async def test_the_size_is_bounded_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriptions, "SIZE_MOST", 3)
    subscription = Subscription(Topics(lambda count: None), "t")
    assert [put(subscription, 10 + number) for number in range(3)] == [True, False, False]
    assert [(await anext(subscription)).data, put(subscription, 13)] == [10, True]
    assert (await anext(subscription)).lost == 2


async def test_what_the_sender_has_missed_is_said() -> None:
    subscription = Subscription(Topics(lambda count: None), "t")
    put(subscription, 1, lost=3)
    put(subscription, 2)
    assert [(await anext(subscription)).lost for _ in range(2)] == [3, 0]


async def test_one_that_is_forgotten_is_none_any_more() -> None:
    handed: list[int] = []
    topics = Topics(handed.append)
    subscription = Subscription(topics, "t")
    put(subscription, 1)
    assert topics.of("t") == [subscription]
    del subscription
    gc.collect()
    assert topics.of("t") == []
    assert handed == [1], "what waited for it is nobody's"


async def test_closing_one_ends_the_loop_over_it() -> None:
    subscription = Subscription(Topics(lambda count: None), "t")
    waiting = [asyncio.create_task(anext(subscription, None)) for _ in range(2)]
    await asyncio.sleep(0)
    subscription.close()
    assert await asyncio.gather(*waiting) == [None, None]


async def test_a_task_that_stops_waiting_takes_nothing_with_it() -> None:
    subscription = Subscription(Topics(lambda count: None), "t")
    first, second = (asyncio.ensure_future(anext(subscription, None)) for _ in range(2))
    await asyncio.sleep(0)
    put(subscription, 1)
    first.cancel()  # it has been told already
    message = await asyncio.wait_for(second, 30)
    assert message is not None
    assert message.data == 1


async def test_a_task_that_looks_now_and_then_leaves_nothing_behind() -> None:
    subscription = Subscription(Topics(lambda count: None), "t")
    for _ in range(3):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await anext(subscription)
    assert not subscription._wake
    looking = asyncio.ensure_future(anext(subscription))
    await asyncio.sleep(0)
    looking.cancel()
    put(subscription, 1)  # before the task has heard of its end
    with pytest.raises(asyncio.CancelledError):
        await looking
    assert (await anext(subscription)).data == 1
