"""The application's lifespan, without the server's time limits: the pool decides how long a start may take."""

from __future__ import annotations

import asyncio
from typing import Any

from corepod.worker.application.awaiting import where_it_waits
from corepod.worker.logs import log

SLOW = 10.0  # seconds after which a startup says where it waits


class LifespanFailedError(Exception):
    """The application reported that its start failed. The message is the application's, and often a whole traceback."""


class Lifespan:
    """Runs the ASGI lifespan protocol in a task of its own. https://asgi.readthedocs.io/en/latest/specs/lifespan.html"""

    def __init__(self, app: Any, state: dict[str, Any]) -> None:
        self._app, self.state = app, state
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._answers: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Return when the application is ready, or has shown that it has no lifespan.

        Raises LifespanFailedError, or SystemExit or KeyboardInterrupt where the application asks the process to exit.
        """
        self._task = asyncio.get_running_loop().create_task(self._run())
        slow = asyncio.get_running_loop().call_later(SLOW, self._tell_where)
        try:
            answer = await self._ask("lifespan.startup")
        finally:
            slow.cancel()
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise LifespanFailedError(answer.get("message") or "the application's lifespan failed")
        if answer is None and (error := self._error()):
            if self._leaked():
                raise LifespanFailedError(f"it raised {error}")
            # The specification says to go on without one; the line is for users who expected theirs to run.
            log.info("the application has no lifespan: it raised %s", error)

    async def shutdown(self) -> str:
        """Let the application clean up; returns its complaint, empty where it has none."""
        if self._task is None or self._task.done():
            return ""
        answer = await self._ask("lifespan.shutdown")
        await asyncio.wait([self._task])
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            return str(answer.get("message", "")) or "it gave no reason"
        return self._error()

    def _tell_where(self) -> None:
        # The supervisor says how long it has taken, and asks for the stacks of threads: those show a loop that waits.
        if self._task is not None and (place := where_it_waits(self._task)):
            log.warning("the application's lifespan startup waits here:\n%s", place)

    def failed_with(self, error: BaseException) -> bool:
        """Whether it has ended with this exception."""
        task = self._task
        return task is not None and task.done() and not task.cancelled() and task.exception() is error

    async def _ask(self, kind: str) -> dict[str, Any] | None:
        """The application's answer, None where it ended without one."""
        assert self._task is not None
        self._messages.put_nowait({"type": kind})
        answer = asyncio.ensure_future(self._answers.get())
        try:
            await asyncio.wait([self._task, answer], return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        # An exception means that the application doesn't support lifespans; a wish to exit is passed on.
        error = None if self._task.cancelled() else self._task.exception()
        if isinstance(error, SystemExit | KeyboardInterrupt):
            raise error
        return None

    def _leaked(self) -> bool:
        """Whether it ended with what nobody raises who means that there is no lifespan, such as CancelledError."""
        assert self._task is not None
        return self._task.cancelled() or not isinstance(self._task.exception(), Exception | None)

    def _error(self) -> str:
        if self._task is None:
            return ""
        if self._task.cancelled():
            return "CancelledError"  # of something that it awaited: nobody cancels this task
        error = self._task.exception()
        return "" if error is None else f"{type(error).__name__}: {error}".strip().rstrip(":")

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": "3.0", "spec_version": "2.0"},
            "state": self.state,
        }
        await self._app(scope, self._messages.get, self._answer)

    async def _answer(self, message: Any) -> None:
        self._answers.put_nowait(dict(message))
