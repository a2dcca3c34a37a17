from __future__ import annotations

import asyncio
import socket
import time

import pytest
from corepod.shared.patience import within


def test_what_takes_too_long_ends() -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            await within(0.01, asyncio.Event().wait())

    asyncio.run(main())


@pytest.mark.parametrize("patient", [True, False])
def test_a_blocked_loop_uses_up_no_time(patient: bool) -> None:
    """The answer has arrived while the loop was blocked. Control: asyncio's own limit takes that for a timeout."""

    async def main() -> bytes:
        here, there = socket.socketpair()
        reader, writer = await asyncio.open_connection(sock=here)

        async def read() -> bytes:
            await asyncio.sleep(0)
            there.sendall(b"answer")
            time.sleep(0.3)  # noqa: ASYNC251 - what the test is about
            await asyncio.sleep(0)  # several turns of the loop, as an answer in parts takes
            return await reader.read(6)

        try:
            if patient:
                return await within(0.05, read())
            async with asyncio.timeout(0.05):
                return await read()
        finally:
            there.close()
            writer.close()
            await writer.wait_closed()

    if patient:
        assert asyncio.run(main()) == b"answer"
    else:
        with pytest.raises(TimeoutError):
            asyncio.run(main())
