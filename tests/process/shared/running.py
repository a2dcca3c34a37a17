"""Runs what the tests of shared state do: in an event loop that gives back its connections, and in other processes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING, Any, TypeVar

from corepod import shared

from tests.waiting import DEADLINE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

T = TypeVar("T")


def run(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """In a loop of its own."""

    async def whole() -> T:
        try:
            return await work()
        finally:
            await shared.close()

    return asyncio.run(whole())


async def becomes(look: Callable[[], Coroutine[Any, Any, bool]]) -> None:
    """Look until it is true."""
    async with asyncio.timeout(DEADLINE):
        while not await look():  # noqa: ASYNC110  (the state tells nobody)
            await asyncio.sleep(0.01)


def at_the_same_time(script: str, processes: int) -> list[str]:
    """What each of several processes prints that run this script, where `number` is its own; they begin together."""
    head = "import sys; number = int(sys.argv[1]); print('here', flush=True); sys.stdin.readline()\n"
    words = [sys.executable, "-c", head + script]
    pipe = subprocess.PIPE
    started = [
        subprocess.Popen([*words, str(number)], stdin=pipe, stdout=pipe, text=True) for number in range(processes)
    ]
    try:
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "here\n"
        for one in started:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        outputs = [one.communicate(timeout=3 * DEADLINE)[0] for one in started]
        assert [one.returncode for one in started] == [0] * processes
    finally:
        for one in started:
            one.kill()
            one.communicate()
    return outputs
