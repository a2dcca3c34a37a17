"""Messages within one process: what every backend has to do with them. Their reach is the backends' difference."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from corepod import shared
from corepod.shared import values
from corepod.shared.subscription import COUNT_MOST

from tests.process.shared.running import run
from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from corepod.shared import Message, Subscription

pytestmark = pytest.mark.usefixtures("url")


async def _next(subscription: Subscription) -> Message:
    return await asyncio.wait_for(anext(subscription), DEADLINE)


def test_each_subscription_gets_each_message_once_and_in_order() -> None:
    async def work() -> None:
        with shared.subscribe("a") as first, shared.subscribe("a") as second, shared.subscribe("b") as other:
            await shared.joined()
            for number in range(200):
                await shared.publish("a", number)
            await shared.publish("b", "end")
            await shared.publish("a", "end")
            assert await _next(other) == ("b", "end", False)
            for one in (first, second):
                found = [await _next(one) for _ in range(201)]
                assert [message.data for message in found] == [*range(200), "end"]
                assert not any(message.lost for message in found)
                assert {message.topic for message in found} == {"a"}

    run(work)


@pytest.mark.parametrize("data", [b"", b"\0x", b"x" * values.MESSAGE_MOST, "ü", {"a": [1]}, 0, False])
@pytest.mark.parametrize("topic", ["a", "ü€😀" * 40, "*", "x" * 512])
def test_what_is_published_comes_as_it_was(topic: str, data: object) -> None:
    async def work() -> None:
        with shared.subscribe(topic) as messages:
            await shared.joined()
            await shared.publish(topic, data)
            assert await _next(messages) == (topic, data, False)

    run(work)


@pytest.mark.parametrize("data", [None, object(), b"x" * (values.MESSAGE_MOST + 1), float("inf")])
def test_what_cant_be_published_is_refused(data: object) -> None:
    async def work() -> None:
        with pytest.raises((TypeError, ValueError)):
            await shared.publish("a", data)

    run(work)


def test_a_subscription_begins_with_its_call_and_ends_with_close() -> None:
    async def work() -> None:
        await shared.publish("a", "before")
        messages = shared.subscribe("a")
        await shared.joined()
        await shared.publish("a", "during")
        assert (await _next(messages)).data == "during"
        waiter = asyncio.create_task(anext(messages, None))
        await asyncio.sleep(0)
        messages.close()
        assert await asyncio.wait_for(waiter, DEADLINE) is None
        with shared.subscribe("a") as again:
            await shared.joined()
            await shared.publish("a", "after")
            assert (await _next(again)).data == "after"
        assert [message async for message in messages] == []

    run(work)


def test_a_subscription_that_nobody_refers_to_ends() -> None:
    async def work() -> None:
        messages = shared.subscribe("a")
        end = messages._end
        del messages
        gc.collect()
        assert not end.alive
        await shared.publish("a", 1)

    run(work)


def test_what_has_no_room_is_lost_and_that_is_said() -> None:
    async def work() -> None:
        with shared.subscribe("a") as messages, shared.subscribe("b") as witness:
            await shared.joined()
            for number in range(COUNT_MOST + 10):
                await shared.publish("a", number)
            await shared.publish("b", "end")
            await _next(witness)  # what was published before has come, too
            found = [await _next(messages) for _ in range(COUNT_MOST)]
            assert [message.data for message in found] == list(range(COUNT_MOST))
            assert not any(message.lost for message in found)
            await shared.publish("a", "later")
            assert await _next(messages) == ("a", "later", True)
            await shared.publish("a", "all")
            assert await _next(messages) == ("a", "all", False)

    run(work)


def test_the_prefix_keeps_topics_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        with shared.subscribe("a") as messages:
            await shared.joined()
            monkeypatch.setenv("COREPOD_SHARED_PREFIX", "other:")
            await shared.publish("a", "another application's")
            monkeypatch.delenv("COREPOD_SHARED_PREFIX")
            await shared.publish("a", "ours")
            assert (await _next(messages)).data == "ours"

    run(work)
