"""The middleware for WSGI applications without a session of their own (PEP 3333)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.shared.sessions import setup
from corepod.shared.sessions.blocking import wait
from corepod.shared.sessions.cookie import checked
from corepod.shared.sessions.http import added
from corepod.shared.sessions.record import MAX_SIZE
from corepod.shared.sessions.session import Session
from corepod.shared.sessions.store import UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable

ENVIRON_KEY = "corepod.session"
INSTEAD = "use the middleware for ASGI there"


class SessionMiddleware:
    """Gives every request `environ["corepod.session"]`, which is loaded when it is used, and saved when the application
    calls `start_response`. The arguments are those of `corepod.shared.sessions.SessionMiddleware`."""

    def __init__(
        self,
        app: Any,
        keys: str | Iterable[str | bytes],
        *,
        idle: float = setup.IDLE,
        absolute: float = setup.ABSOLUTE,
        max_size: int = MAX_SIZE,
        secure: bool = True,
        samesite: str = "Lax",
        name: str | None = None,
        path: str = "/",
        domain: str | None = None,
    ) -> None:
        self.app = app
        self._store = setup.store(keys, idle, absolute, max_size)
        self._cookie = checked(name, path, domain, secure, samesite)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Any:
        values = self._cookie.values(environ.get("HTTP_COOKIE", ""))
        session = Session(lambda: wait(lambda: self._store.find(values), INSTEAD))
        environ[ENVIRON_KEY] = session
        more: list[tuple[str, str]] | None = None

        def start(status: str, headers: list[tuple[str, str]], *exc_info: Any) -> Any:
            nonlocal more
            if more is None:
                answer = wait(lambda: self._store.commit(session), INSTEAD) if session.loaded else UNCHANGED
                more = added(headers, session.accessed, answer, self._cookie)
                session.close()
            return start_response(status, [*headers, *more], *exc_info)

        return self.app(environ, start)
