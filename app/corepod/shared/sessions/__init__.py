"""Sessions in the shared state: a signed cookie has the id, and the workers of all pods have the data.

`SessionMiddleware` and `load` are for ASGI. `corepod.shared.sessions.wsgi` has the middleware for WSGI,
`corepod.shared.sessions.flask` and `.django` give these frameworks' own sessions their data from here.
docs/sessions.md says what is guaranteed.
"""

from __future__ import annotations

from corepod.shared.sessions.asgi import SessionMiddleware, load
from corepod.shared.sessions.keys import KeysError
from corepod.shared.sessions.record import NotJSON, SessionTooLarge
from corepod.shared.sessions.session import NotLoaded, Session

__all__ = ["KeysError", "NotJSON", "NotLoaded", "Session", "SessionMiddleware", "SessionTooLarge", "load"]
