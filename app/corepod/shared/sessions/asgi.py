"""The middleware for ASGI applications: Starlette, FastAPI, Litestar, Quart, and those without a framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.shared.errors import Unavailable
from corepod.shared.sessions import setup
from corepod.shared.sessions.cookie import checked
from corepod.shared.sessions.http import added
from corepod.shared.sessions.record import MAX_SIZE
from corepod.shared.sessions.session import Found, NotLoaded, Session

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BEGINNINGS = ("http.response.start", "websocket.accept", "websocket.http.response.start")
LOAD = "the session isn't loaded: `await corepod.shared.sessions.load(request)` first, or leave `eager` as it is"


class SessionMiddleware:
    """Gives every request and WebSocket `scope["session"]`, which frameworks call `request.session`.

    `keys`: secrets of 32 bytes or more, as a list or as text with spaces between them; the first signs, all verify.
    `idle`, `absolute`: seconds after which a session ends, since it was used and since it was made.
    `max_size`: bytes of JSON a session may have. `secure=False` is for development without HTTPS. `name`, `path`,
    `domain`, `samesite`: of the cookie. `eager=False`: nothing is read before `await load(request)`.

    Raises ValueError (KeysError) where one of them can't be.
    """

    def __init__(
        self,
        app: Any,
        keys: str | Iterable[str | bytes],
        *,
        idle: float = setup.IDLE,
        absolute: float = setup.ABSOLUTE,
        max_size: int = MAX_SIZE,
        eager: bool = True,
        secure: bool = True,
        samesite: str = "Lax",
        name: str | None = None,
        path: str = "/",
        domain: str | None = None,
    ) -> None:
        self.app, self._eager = app, eager
        self._store = setup.store(keys, idle, absolute, max_size)
        self._cookie = checked(name, path, domain, secure, samesite)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        exchange = _Exchange(self, scope, send)
        scope["session"] = exchange.session
        if self._eager:
            await exchange.session.look()
        await self.app(scope, receive, exchange.send)

    # For the exchange

    async def find(self, scope: Any) -> Found | None:
        """The session of this request's cookie."""
        values = [
            found
            for name, value in scope["headers"]
            if name.lower() == b"cookie"
            for found in self._cookie.values(value.decode("latin-1"))
        ]
        return await self._store.find(values)

    async def finish(self, session: Session, headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
        """Save it, and return the headers of the response with what it adds."""
        answer = await self._store.commit(session)
        known = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        more = added(known, session.accessed, answer, self._cookie)
        return [*headers, *((name.lower().encode(), value.encode("latin-1")) for name, value in more)]


class AsyncSession(Session):
    """A session that is loaded in the event loop, before it is used."""

    def __init__(self, find: Callable[[], Any]) -> None:
        super().__init__(self._missing)
        self._find = find
        self._failed: Unavailable | None = None

    async def load(self) -> None:
        """Raises `shared.Unavailable`."""
        if not self.loaded:
            self.fill(await self._find())

    async def look(self) -> None:
        """Load it; where that fails, whoever uses it gets the error, and who doesn't goes on."""
        try:
            await self.load()
        except Unavailable as error:
            self._failed = error

    def mark_accessed(self) -> None:
        """Starlette calls this for each `request.session`."""
        self.accessed = True

    def _missing(self) -> Found | None:
        if self._failed is not None:
            raise self._failed
        raise NotLoaded(LOAD)


class _Exchange:
    """One request and the beginning of its response."""

    def __init__(self, middleware: SessionMiddleware, scope: Any, send: Any) -> None:
        self._middleware, self._send = middleware, send
        self.session = AsyncSession(lambda: middleware.find(scope))

    async def send(self, message: Any) -> None:
        if message["type"] in BEGINNINGS and not self.session.closed:
            headers = await self._middleware.finish(self.session, list(message.get("headers") or ()))
            message = {**message, "headers": headers}
            self.session.close()
        await self._send(message)


async def load(connection: Any) -> Session:
    """The session of a request or WebSocket (a scope, or an object that has one), loaded if it isn't yet.

    Raises `shared.Unavailable`, and RuntimeError where there is no middleware.
    """
    session = getattr(connection, "scope", connection).get("session")
    if not isinstance(session, AsyncSession):
        raise RuntimeError("there is no session: add corepod.shared.sessions.SessionMiddleware to the application")
    await session.load()
    return session
