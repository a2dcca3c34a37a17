"""This worker is to be replaced, when it is its turn among those of all pools that share the state."""

from __future__ import annotations

import asyncio
from importlib import import_module
from typing import TYPE_CHECKING

from corepod.contract.messages import TurnAnswer

if TYPE_CHECKING:
    from corepod.contract.messages import TurnRequest
    from corepod.worker.control import Control

# Loaded when the supervisor asks: a worker doesn't depend on shared state, and most have no use for it.
SHARED = "corepod.shared.turns"


class Turns:
    """Does what the supervisor asks for. The turn is given back when that asks for it, and at the worker's end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, control: Control) -> None:
        self._loop, self._control = loop, control
        self._task: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None  # gives a turn back

    def asked(self, request: TurnRequest) -> None:
        """Take a turn, or give it back."""
        if self._task is not None:
            self._task.cancel()
            self._ending = self._task
        self._task = self._loop.create_task(self._hold(request, self._ending)) if request.places else None

    async def _hold(self, request: TurnRequest, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])  # else it might wait for its own place
        try:
            await import_module(SHARED).hold(request.places, lambda: self._control.send(TurnAnswer(request.number, "")))
        except Exception as error:
            self._control.send(TurnAnswer(request.number, str(error)[:500] or type(error).__name__))

    async def end(self, within: float) -> None:
        """Give the turn back: this process serves nobody any more."""
        if self._task is not None:
            self._task.cancel()
        if tasks := [task for task in (self._task, self._ending) if task is not None]:
            await asyncio.wait(tasks, timeout=within)
