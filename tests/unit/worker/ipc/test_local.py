"""Outside of a pool the process is a pool of one worker."""

from __future__ import annotations

import asyncio
import threading

import pytest
from corepod import ipc


async def test_a_message_to_all_and_to_slot_0_arrive() -> None:
    with ipc.subscribe("t") as subscription:
        await ipc.joined()
        assert await ipc.broadcast("t", {"a": (1, 2)}) == []
        await ipc.send(0, "t", b"\0")
        messages = [await asyncio.wait_for(anext(subscription), 30) for _ in range(2)]
    assert [message.data for message in messages] == [{"a": [1, 2]}, b"\0"], "as it would be in a pool"
    assert messages[0].sender == ipc.Sender(0, 0)
    with pytest.raises(RuntimeError, match="asks for no reply"):
        await messages[0].reply(1)


async def test_a_request_is_answered() -> None:
    async def answer() -> None:
        async for message in ipc.subscribe("q"):
            assert message.wants_reply
            await message.reply([message.data])

    task = asyncio.create_task(answer())
    await asyncio.sleep(0)
    assert await ipc.request(0, "q", 1, 30) == [1]
    task.cancel()


async def test_a_request_that_nobody_answers() -> None:
    with pytest.raises(ipc.NobodyListens):
        await ipc.request(0, "nothing")
    with ipc.subscribe("silent"), pytest.raises(TimeoutError, match="slot 0 hasn't answered a request on 'silent'"):
        await ipc.request(0, "silent", timeout=0.01)
    with pytest.raises(ipc.NoSuchSlot, match=r"no slot 3: the pool has slots from 0 to 0"):
        await ipc.send(3, "t", 1)


async def test_threads_and_the_event_loop_hear_each_other() -> None:
    heard: list[object] = []

    def listen(ready: threading.Event) -> None:
        with ipc.sync.subscribe("from-loop") as messages:
            ready.set()
            for message in messages:
                heard.append(message.data)
                ipc.sync.broadcast("from-thread", message.data)
                return

    ready = threading.Event()
    with ipc.subscribe("from-thread") as subscription:
        thread = threading.Thread(target=listen, args=(ready,))
        thread.start()
        await asyncio.to_thread(ready.wait, 30)
        await ipc.broadcast("from-loop", "hello")
        message = await asyncio.wait_for(anext(subscription), 30)
    await asyncio.to_thread(thread.join, 30)
    assert (message.data, heard) == ("hello", ["hello"])


async def test_a_blocking_call_in_the_event_loop_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"use corepod\.ipc here"):
        ipc.sync.broadcast("t", 1)


def test_a_subscription_needs_an_event_loop() -> None:
    with pytest.raises(RuntimeError, match="no running event loop"):
        ipc.subscribe("t")
