"""The turn of a worker that is to be replaced: one of a few places, for all pools that share the state.

`corepod.worker.turns` loads this by name when the supervisor asks for a turn, whether the application uses shared state
or not.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from corepod.shared import state
from corepod.shared.errors import Unavailable
from corepod.shared.lock import Claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.shared.backend import Backend

PLACE = "corepod/turns/{number}"
LEASE = 30.0  # seconds after which the place of a worker is free whose end nobody has told: it was killed, say
RENEWALS = 3  # in that time
LOOK = 0.5  # seconds on average between two looks for a free place
PATIENCE = 5.0  # seconds for which the state may be unavailable before nobody waits for it


async def hold(places: int, taken: Callable[[], None]) -> None:
    """Wait for one of the places, call `taken` when it is had, and keep it until this task is cancelled.

    Raises Unavailable where the state can't be reached, and what `corepod.shared.state.backend` does.
    """
    turn = _Turn(state.backend(), uuid.uuid4().hex)
    try:
        await turn.take(places)
        taken()
        await turn.keep()
    finally:
        await turn.give_back()


class _Turn:
    def __init__(self, backend: Backend, owner: str) -> None:
        self._backend, self._owner = backend, owner
        self._claim: Claim | None = None  # to the place that is asked for or taken

    async def take(self, places: int) -> None:
        loop = asyncio.get_running_loop()
        reached = loop.time()
        while True:
            try:
                if await self._take_free(places):
                    return
                reached = loop.time()
            except Unavailable:
                if loop.time() - reached >= PATIENCE:
                    raise
            # Apart from each other, although they may have begun at the same moment.
            await asyncio.sleep(LOOK * (0.5 + random.random()))

    async def _take_free(self, places: int) -> bool:
        first = random.randrange(places)
        for number in range(places):
            place = PLACE.format(number=(first + number) % places)
            self._claim = Claim(self._backend, place, self._owner, LEASE)
            if await self._claim.ask() is not None:
                return True
        self._claim = None
        return False

    async def keep(self) -> None:
        assert self._claim is not None
        while True:
            await asyncio.sleep(LEASE / RENEWALS)
            # Where it is lost the worker is being replaced already: there is nothing to go back to.
            with suppress(Unavailable):
                await self._claim.renew()

    async def give_back(self) -> None:
        if self._claim is not None:  # perhaps without an answer yet
            await self._claim.give_back()
