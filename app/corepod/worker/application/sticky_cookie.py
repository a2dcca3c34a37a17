"""Sets the cookie of sticky sessions on what the application answers. Around the application itself: with an error of
the server's own, such as 503 where a worker has too much to do, no client is bound to that worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.worker.sticky.cookie import is_public

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from corepod.worker.sticky.sessions import StickySessions

ANSWERS = ("http.response.start", "websocket.accept")


class StickyCookie:
    """An ASGI application around another one."""

    def __init__(self, app: Any, sessions: StickySessions) -> None:
        self._app, self._sessions = app, sessions

    def __call__(self, scope: Any, receive: Any, send: Any) -> Awaitable[None]:
        # Not a coroutine of its own: most requests bring the cookie.
        if scope["type"] in ("http", "websocket") and self._sessions.renews(scope["headers"]):
            send = self._setting(send, secure=scope["scheme"] in ("https", "wss"))
        awaitable: Awaitable[None] = self._app(scope, receive, send)
        return awaitable

    def _setting(self, send: Any, *, secure: bool) -> Any:
        sessions = self._sessions

        async def sending(message: Any) -> None:
            if message["type"] in ANSWERS and sessions.cookie is not None:
                headers = list(message.get("headers") or ())
                if not is_public(headers):
                    headers.append((b"set-cookie", sessions.cookie.setting(sessions.slot, secure=secure)))
                    message = {**message, "headers": headers}
            await send(message)

        return sending
