"""A request that failed for want of shared state is answered with 503 and Retry-After, whatever its framework has made
of the exception: `corepod.shared` notes here that it can't be reached, in the context of the request."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.worker.settings import WorkerSettings

TEXT = b"a service that this request needs can't be reached, please try again\n"
TRY_AGAIN_LATER = 1013  # the code with which a WebSocket is closed (registered with IANA)


class _Mark:
    """What a request has run into. Threads and tasks of the request have copies of its context, and share this."""

    error: Exception | None = None


_mark: ContextVar[_Mark | None] = ContextVar("corepod_unavailable", default=None)
_expected = False


def expect() -> None:
    """This process uses shared state: requests are watched from now on."""
    global _expected
    _expected = True


def note(error: Exception) -> None:
    """The request that runs in this context has met `error`."""
    mark = _mark.get()
    if mark is not None:
        mark.error = error


def answer_unavailable(app: Any, settings: WorkerSettings) -> Any:
    """The application, whose requests are answered with 503 where they fail after an error that was noted.

    One that handles the error and answers anything but 500 isn't changed. Costs one call as long as the process doesn't
    use shared state.
    """
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(TEXT))]
    if settings.retry_after:
        headers.append((b"retry-after", b"%d" % settings.retry_after))

    def watched(scope: Any, receive: Any, send: Any) -> Any:
        return _Request(scope, send, headers).run(app, receive) if _expected else app(scope, receive, send)

    return watched


class _Request:
    def __init__(self, scope: Any, send: Any, headers: list[tuple[bytes, bytes]]) -> None:
        self._scope, self._send, self._headers = scope, send, headers
        self._mark = _Mark()
        self._begun = self._replaced = self._closed = False

    async def run(self, app: Any, receive: Any) -> None:
        token = _mark.set(self._mark)
        try:
            await app(self._scope, receive, self._pass)
        except Exception as error:
            # Any other exception is a fault of the application, which belongs into the log, even if it came after one
            # that was noted.
            if self._mark.error is None or not any(
                isinstance(found, type(self._mark.error))
                for found in _chain(error)  # it may have met several
            ):
                raise
            if not self._begun:
                await self._refuse()
            elif self._scope["type"] == "websocket":
                if not self._closed:  # by the application, on its way out
                    await self._send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": "please try again"})
            elif not self._replaced:
                raise  # the client has a part of another response
        finally:
            _mark.reset(token)

    async def _pass(self, message: Any) -> None:
        if self._replaced:
            return  # the rest of a page that isn't sent
        kind = message["type"]
        if kind == "http.response.start" and message["status"] == 500 and self._mark.error is not None:
            await self._refuse()
            return
        self._begun = True
        self._closed = self._closed or kind == "websocket.close"
        await self._send(message)

    async def _refuse(self) -> None:
        self._begun = self._replaced = True
        kind = "http.response" if self._scope["type"] == "http" else "websocket.http.response"
        await self._send({"type": f"{kind}.start", "status": 503, "headers": list(self._headers)})
        await self._send({"type": f"{kind}.body", "body": TEXT})


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, those in a group, and those that led to them."""
    pending, seen = [error], set()
    while pending:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        pending += [led for led in (found.__cause__, found.__context__) if led is not None]
        if isinstance(found, BaseExceptionGroup):
            pending += found.exceptions
