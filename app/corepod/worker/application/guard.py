"""Around every application, innermost: what leaves a request is an exception, and a request's body makes progress."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.application.middleware import answer

if TYPE_CHECKING:
    from collections.abc import Callable


class LeakedError(Exception):
    """The application let something out of a request that ends more than the request, such as SystemExit."""

    def __init__(self, leak: BaseException) -> None:
        super().__init__(f"a request let {type(leak).__name__} out, which ends the request and no other")
        self.leak = leak


def guard(app: Any, body_timeout: float = 0.0, on_exit: Callable[[SystemExit], None] = lambda error: None) -> Any:
    """The application, of which a request can fail but can't take other requests with it.

    SystemExit and its like would end the event loop, and a CancelledError that nobody asked for would end the
    connection's other tasks, all without a line in the log. They become a LeakedError, which the server logs and
    answers with 500 like any other. `body_timeout` is the setting, 0 for no limit. `on_exit` is called with each
    SystemExit.
    """

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        body = None
        if body_timeout and expects_body(scope):
            body = _Body(body_timeout, receive, send)
            receive, send = body.receive, body.send
        try:
            await app(scope, receive, send)
        except LeakedError as error:  # out of a thread
            if isinstance(error.leak, SystemExit):
                on_exit(error.leak)
            raise
        except Exception:
            # Frameworks turn the disconnect into an exception; the client has its answer.
            if body is None or not body.refused:
                raise
        except BaseException as error:
            if _is_ours(error):
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


def expects_body(scope: Any) -> bool:
    """Whether more of the request than its head may be on its way."""
    if scope["type"] != "http":
        return False
    for name, value in scope["headers"]:
        if name == b"content-length":
            return bool(value.strip(b"0"))
        if name == b"transfer-encoding":
            return True
    return scope["http_version"] not in ("1.0", "1.1")  # a later one needs neither of the two


class _Body:
    """A request's body that is answered with 408 when nothing of it arrives for some seconds.

    When the response has begun, there is no limit: client and application may be in a conversation.
    """

    def __init__(self, seconds: float, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        self._seconds, self._receive, self._send = seconds, receive, send
        self._begun = self._complete = self.refused = False

    async def receive(self) -> Any:
        if self.refused:
            return {"type": "http.disconnect"}
        if self._complete or self._begun:
            return await self._receive()
        try:
            async with asyncio.timeout(self._seconds) as limit:
                message = await self._receive()
        except TimeoutError:
            if not limit.expired():
                raise
            if self._begun:  # by another task, while this one waited
                return await self._receive()
            return await self._refuse()
        self._complete = not message.get("more_body")
        return message

    async def _refuse(self) -> Any:
        self.refused = True
        text = f"no more of the request's body has arrived for {self._seconds:g} s\n"
        await answer(self._send, 408, text.encode(), (b"connection", b"close"))
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if not self.refused:
            self._begun = True
            await self._send(message)
