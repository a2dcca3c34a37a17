"""The application's lifespan, without hypercorn's time limits: how long a start may take is the pool's to decide."""

from __future__ import annotations

import asyncio
from typing import Any


class LifespanFailedError(Exception):
    """The application said that its start failed, or raised in it. `traceback` is its own word on it, if any."""

    def __init__(self, message: str) -> None:
        super().__init__(message)


class Lifespan:
    """Runs the ASGI lifespan protocol in a task of its own. https://asgi.readthedocs.io/en/latest/specs/lifespan.html"""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self._app, self.state = app, state
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Returns when the application is ready, or has shown that it has no lifespan.

        Raises LifespanFailedError, or SystemExit where the application wants to end.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise LifespanFailedError(answer.get("message") or "the application's lifespan failed")

    async def shutdown(self) -> str:
        """Let the application clean up; returns what it complained of."""
        if self._task is None or self._task.done():
            return ""
        answer = await self._ask("lifespan.shutdown")
        await asyncio.wait([self._task])
        return str(answer.get("message", "")) if answer and answer["type"].endswith("failed") else ""

    async def _ask(self, kind: str) -> dict[str, Any] | None:
        assert self._task is not None
        self._messages.put_nowait({"type": kind})
        answer = asyncio.ensure_future(self._answers.get())
        await asyncio.wait([self._task, answer], return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        # It ended without an answer: an exception means that it doesn't know this scope, as the specification allows;
        # only an end of the whole process is passed on.
        error = self._task.exception() if not self._task.cancelled() else None
        if error is not None and not isinstance(error, Exception):
            raise error
        return None

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        await self._app(scope, self._messages.get, self._answer)

    async def _answer(self, message: Any) -> None:
        self._answers.put_nowait(dict(message))
