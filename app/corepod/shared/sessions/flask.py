"""Flask's own `flask.session`, with its data in the shared state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask.sessions import SessionInterface, SessionMixin

from corepod.shared.sessions import setup
from corepod.shared.sessions.blocking import wait
from corepod.shared.sessions.cookie import Cookie, checked
from corepod.shared.sessions.http import added
from corepod.shared.sessions.record import MAX_SIZE
from corepod.shared.sessions.session import Session
from corepod.shared.sessions.store import UNCHANGED

if TYPE_CHECKING:
    from collections.abc import Iterable

    from flask import Flask, Request, Response

    from corepod.shared.sessions.store import Store

INSTEAD = "use `flask.session` in a view of Flask"


class FlaskSession(Session, SessionMixin):
    """`flask.session`, with `renew()` to be called at a login."""


class SharedSessions(SessionInterface):
    """`app.session_interface = SharedSessions()`.

    The keys are Flask's `SECRET_KEY`, which signs, and `SECRET_KEY_FALLBACKS`, unless `keys` are given. Flask's
    settings say what the cookie is called and where it belongs (`SESSION_COOKIE_NAME`, `_DOMAIN`, `_PATH`,
    `_SAMESITE`, with `Lax` where it is None), and how long a session lasts since it was used
    (`PERMANENT_SESSION_LIFETIME`). The cookie is `Secure` and `HttpOnly`, whatever they say; `secure=False` is for
    development without HTTPS. `absolute` and `max_size` are as in `corepod.shared.sessions.SessionMiddleware`.
    """

    session_class = FlaskSession

    def __init__(
        self,
        keys: str | Iterable[str | bytes] | None = None,
        *,
        secure: bool = True,
        absolute: float = setup.ABSOLUTE,
        max_size: int = MAX_SIZE,
    ) -> None:
        self._keys = keys if keys is None or isinstance(keys, str) else list(keys)
        self._secure, self._absolute, self._max_size = secure, absolute, max_size
        self._stores: dict[Any, Store] = {}

    def open_session(self, app: Flask, request: Request) -> FlaskSession:
        store, values = self._store(app), request.cookies.getlist(self.get_cookie_name(app))
        return self.session_class(lambda: wait(lambda: store.find(values), INSTEAD))

    def save_session(self, app: Flask, session: Any, response: Response) -> None:
        if session.closed:
            return  # an error after the session was saved brings a second response
        answer = wait(lambda: self._store(app).commit(session), INSTEAD) if session.loaded else UNCHANGED
        session.close()
        cookie = self._cookie(app)
        headers = added(response.headers, session.accessed, answer, cookie)
        if answer.value is not None and not session.permanent:
            headers[-1] = ("Set-Cookie", cookie.given(answer.value, None))
        for name, value in headers:
            response.headers.add(name, value)

    def _store(self, app: Flask) -> Store:
        keys = self._keys
        if keys is None:
            keys = [key for key in (app.secret_key, *(app.config.get("SECRET_KEY_FALLBACKS") or ())) if key]
        idle = app.permanent_session_lifetime.total_seconds()
        known = (keys if isinstance(keys, str) else tuple(keys), idle)
        if known not in self._stores:
            self._stores = {known: setup.store(keys, idle, self._absolute, self._max_size)}
        return self._stores[known]

    def _cookie(self, app: Flask) -> Cookie:
        return checked(
            self.get_cookie_name(app),
            self.get_cookie_path(app),
            self.get_cookie_domain(app),
            self._secure or self.get_cookie_secure(app),
            self.get_cookie_samesite(app) or "Lax",
        )
