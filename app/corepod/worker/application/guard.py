"""Around every application, innermost: what leaves a request is an exception."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class LeakedError(Exception):
    """The application let something out of a request that ends more than the request, such as SystemExit."""

    def __init__(self, leak: BaseException) -> None:
        super().__init__(f"a request let {type(leak).__name__} out, which ends the request and no other")
        self.leak = leak


def guard(app: Any, on_exit: Callable[[SystemExit], None] = lambda error: None) -> Any:
    """The application, of which a request can fail but can't take other requests with it.

    SystemExit and its like would end the event loop, and a CancelledError that nobody asked for would end the
    connection's other tasks, all without a line in the log. They become a LeakedError, which the server logs and
    answers with 500 like any other. `on_exit` is called with each SystemExit.
    """

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        try:
            await app(scope, receive, send)
        except LeakedError as error:  # out of a thread
            if isinstance(error.leak, SystemExit):
                on_exit(error.leak)
            raise
        except BaseException as error:
            if isinstance(error, Exception) or _is_ours(error):
                raise
            if isinstance(error, SystemExit):
                on_exit(error)
            raise LeakedError(error) from error

    return guarded


def _is_ours(error: BaseException) -> bool:
    """Whether the task is being cancelled, or a coroutine closed, from outside of the application."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True  # closed without a loop: nobody is left to be answered
    return task is None or (isinstance(error, asyncio.CancelledError) and task.cancelling() > 0)
