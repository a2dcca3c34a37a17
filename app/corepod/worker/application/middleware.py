"""Limits on requests. Each is wrapped around the application only where its setting asks for it, so that an unused one
costs nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from corepod.worker.application.overload import Overload
from corepod.worker.application.proxy_headers import ProxyHeaders
from corepod.worker.application.root_path import with_root_path

if TYPE_CHECKING:
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

LINGER = 1.0  # seconds for which the rest of a body that is too large is read and discarded


class RequestTimeoutError(Exception):
    """The response had begun, but wasn't complete within `request_timeout`."""


class TooLargeError(Exception):
    """The response had begun when the request's body turned out to be larger than `limit_body`."""


def wrap(app: Any, settings: WorkerSettings, record: ScoreboardRecord) -> Any:
    """The application behind the middleware that the settings ask for; the outermost is added last."""
    if settings.limit_body:
        app = limit_body(app, settings.limit_body)
    if settings.request_timeout and not settings.debug:
        app = limit_time(app, settings.request_timeout)
    app = Overload(settings, record).around(app)
    app = with_root_path(app, settings)
    if settings.trusted_proxies:
        app = ProxyHeaders(app, settings.trusted_proxies)
    return app


def limit_time(app: Any, seconds: float) -> Any:
    """Answer 504 where the response hasn't begun after `seconds`; a response that has begun is cut off."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        begun = False

        async def watched(message: Any) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            async with asyncio.timeout(seconds) as limit:
                await app(scope, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise  # the application's own
            if begun:
                raise RequestTimeoutError(f"the response wasn't complete after {seconds:g} s") from None
            await answer(send, 504, b"the application took too long\n", (b"connection", b"close"))

    return limited


def limit_body(app: Any, most: int) -> Any:
    """Answer 413 where the request's body is larger than `most` bytes, whether its length is announced or not."""

    async def limited(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
        elif announced(scope["headers"]) > most:
            await _refuse_body(receive, send)
        else:
            await BodyLimit(most, receive, send).run(app, scope)

    return limited


class BodyLimit:
    """Counts a request's body while the application reads it."""

    def __init__(self, most: int, receive: Any, send: Any) -> None:
        self._left, self._receive, self._send = most, receive, send
        self._begun = self._refused = False

    async def run(self, app: Any, scope: Any) -> None:
        try:
            await app(scope, self._counted, self._watched)
        except Exception:
            # Frameworks turn the disconnect into an exception; the client has its answer.
            if not self._refused:
                raise

    async def _counted(self) -> Any:
        if self._refused:
            return {"type": "http.disconnect"}
        message = await self._receive()
        self._left -= len(message.get("body", b""))
        if self._left >= 0:
            return message
        if self._begun:
            raise TooLargeError("the request's body is larger than limit_body")
        self._refused = True
        await _refuse_body(self._receive, self._send)
        return {"type": "http.disconnect"}

    async def _watched(self, message: Any) -> None:
        if not self._refused:
            self._begun = True
            await self._send(message)


def announced(headers: list[tuple[bytes, bytes]]) -> int:
    """Bytes of a request's body as its head says, 0 where it says nothing."""
    for name, value in headers:
        if name == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0


async def _refuse_body(receive: Any, send: Any) -> None:
    text = b"the request's body is too large\n"
    await send(_head(413, text, (b"connection", b"close")))
    await send({"type": "http.response.body", "body": text, "more_body": True})
    # Closing a socket with data unread resets it, and the client would never see the answer.
    try:
        async with asyncio.timeout(LINGER):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


async def answer(send: Any, status: int, text: bytes, extra: tuple[bytes, bytes]) -> None:
    """A whole response of the server's own; `extra` is a header of it."""
    await send(_head(status, text, extra))
    await send({"type": "http.response.body", "body": text})


def _head(status: int, text: bytes, extra: tuple[bytes, bytes]) -> dict[str, Any]:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(text)).encode()),
        extra,
    ]
    return {"type": "http.response.start", "status": status, "headers": headers}
