"""Tells the command that started the pool in the background, and waits, how the start goes."""

from __future__ import annotations

import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from corepod.supervisor.pool.pool import Pool


class Starter:
    """Writes one line of JSON to the pipe when the pool is ready. A pipe that ends without one means that it isn't."""

    def __init__(self, fd: int, pool: Pool, about: dict[str, Any]) -> None:
        self._fd, self._pool, self._about = fd, pool, about
        os.set_blocking(fd, False)

    def deadline(self) -> None:
        """Only what happens in the pool decides."""

    def look(self, now: float) -> None:
        """Tell the command if it is time to, and let it go."""
        if self._fd < 0 or not settled(self._pool):
            return
        try:
            os.write(self._fd, json.dumps(self._about).encode() + b"\n")
        except OSError:
            pass  # it was ended while it waited; the pool is in the background all the same
        os.close(self._fd)
        self._fd = -1


def settled(pool: Pool) -> bool:
    """Whether a worker serves, and no slot is on its way to its first one."""
    return pool.ever_ready and all(
        slot.failed or slot.restarts or (slot.worker is not None and slot.worker.ready_at is not None)
        for slot in pool.slots
    )
