"""The same requests at the same times to several servers: an open loop, each request on a connection of its own."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE = 60.0  # seconds for an answer: the longest requests take seconds, and wait for others of their kind
START = 0.2  # seconds from the call to the first request, for all of them to be prepared


@dataclass(frozen=True)
class Answer:
    """`seconds` from when the request was due, so that a late client hides nothing."""

    seconds: float
    good: bool


async def ask(url: str, path: str) -> bool:
    """Whether the answer is a whole 200."""
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                head = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
                writer.write(head.encode())
                answer = await reader.read(-1)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200 ") and b"\r\n\r\n" in answer


async def _due(url: str, path: str, when: float) -> Answer:
    await asyncio.sleep(when - time.monotonic())
    good = await ask(url, path)
    return Answer(time.monotonic() - when, good)


async def side_by_side(
    urls: Mapping[str, str], times: Sequence[float], paths: Sequence[str], seed: int
) -> dict[str, list[Answer]]:
    """By server, the answers to the requests that are due at these times, in seconds from now. `seed` decides which
    server is asked first each time, so that none of them always is."""
    generator, names = random.Random(seed), list(urls)
    begin = time.monotonic() + START
    tasks: dict[str, list[asyncio.Task[Answer]]] = {name: [] for name in urls}
    for when, path in zip(times, paths, strict=True):
        for name in generator.sample(names, len(names)):
            tasks[name].append(asyncio.create_task(_due(urls[name], path, begin + when)))
    return {name: list(await asyncio.gather(*asked)) for name, asked in tasks.items()}
