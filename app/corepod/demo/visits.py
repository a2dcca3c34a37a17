"""A session that is the same in all workers: of this pool, or of all pods where `shared` names a server."""

from __future__ import annotations

import os
import secrets
import time
from typing import TYPE_CHECKING

from starlette.requests import Request

from corepod import shared
from corepod.demo.answer import Json, last_of_connection
from corepod.demo.who import who
from corepod.shared.sessions import SessionMiddleware

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

ENV_KEYS = "SESSION_KEYS"
COOKIE = "corepod_demo"
KEY = "demo/session-key"


def visits() -> ASGIApp:
    """The endpoint: GET counts a visit of this client, and DELETE ends its session.

    Raises ValueError (KeysError) where the environment has keys that can't be.
    """
    given = os.environ.get(ENV_KEYS, "").strip()
    return _with(given) if given else _WithMadeKey()


def _with(keys: str) -> ASGIApp:
    # Not `secure`: people try the sample application without HTTPS, where browsers would drop such a cookie.
    return SessionMiddleware(_visit, keys, name=COOKIE, secure=False)


class _WithMadeKey:
    """Without keys in the environment: with a random one, which all find in the shared state. It may be kept beside the
    sessions because the ids that it signs can't be made from what is there; each request asks for it again, as what is
    in the shared state may get lost."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        made = secrets.token_urlsafe(32)
        await shared.set(KEY, made, when=shared.When.ABSENT)
        await _with(str(await shared.get(KEY) or made))(scope, receive, send)


async def _visit(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    answer = _ended(request) if request.method == "DELETE" else _counted(request)
    await answer(scope, receive, send)


def _counted(request: Request) -> Response:
    session, by = request.session, who()
    place = str(by["pod"] or f"worker {by['worker']}")
    answered = session.setdefault("answered", {})
    answered[place] = answered.get(place, 0) + 1
    session["visits"] = session.get("visits", 0) + 1
    session.setdefault("since", time.strftime("%H:%M:%S", time.gmtime()))
    return Json({**session, **by}, headers=last_of_connection(request))


def _ended(request: Request) -> Response:
    request.session.clear()
    return Json({"visits": 0, **who()}, headers=last_of_connection(request))
