"""Django's own sessions, with their data in the shared state: `SESSION_ENGINE = "corepod.shared.sessions.django"`.

The keys are Django's `SECRET_KEY`, which signs, and `SECRET_KEY_FALLBACKS`; `COREPOD_SESSION_KEYS` takes their place.
`COREPOD_SESSION_MAX_SIZE` is how many bytes of JSON a session may have. Everything else, the cookie included, is as
Django's settings say.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase, UpdateError
from django.core.exceptions import ImproperlyConfigured

from corepod.shared import state
from corepod.shared.sessions import record
from corepod.shared.sessions.blocking import wait
from corepod.shared.sessions.keys import Keys
from corepod.shared.sessions.record import MAX_SIZE, Lifetimes, Record
from corepod.shared.sessions.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from corepod.shared.sessions.session import Found

JSON = "django.contrib.sessions.serializers.JSONSerializer"
INSTEAD = "in an asynchronous view use `await request.session.aget(…)`, `aset` and `request.auser()`"


class SessionStore(SessionBase):  # type: ignore[misc] # Django has no types
    """`request.session`. A change is saved if Django knows of it, as with its own engines (`session.modified`)."""

    def __init__(self, session_key: str | None = None) -> None:
        if settings.SESSION_SERIALIZER != JSON:
            raise ImproperlyConfigured(
                "corepod.shared.sessions.django stores JSON, and needs Django's SESSION_SERIALIZER"
            )
        super().__init__(session_key)
        self._found: Found | None = None

    # What a store has to have. Each method is there twice, for threads and for the event loop.

    def load(self) -> dict[str, Any]:
        return dict(_wait(self.aload))

    async def aload(self) -> dict[str, Any]:
        found = self._found = await self._find()
        if found is None:
            self._session_key = None
            return {}
        if not found.current:
            self._session_key = _store().keys.sign(found.id)
            self.modified = True  # or Django wouldn't send the cookie
        return _copy(found).data

    def exists(self, session_key: str) -> bool:
        return bool(_wait(lambda: self.aexists(session_key)))

    async def aexists(self, session_key: str) -> bool:
        return await _store().find([session_key]) is not None

    def create(self) -> None:
        _wait(self.acreate)

    async def acreate(self) -> None:
        self._take(await self._lasting().create(self._get_session(no_load=True)))
        self.modified = True  # the client has to get the new key

    def save(self, must_create: bool = False) -> None:
        _wait(lambda: self.asave(must_create))

    async def asave(self, must_create: bool = False) -> None:
        if must_create or self.session_key is None:
            await self.acreate()
            return
        data = await self._aget_session()
        found = self._found or await self._find()
        saved = found and await self._lasting().update(found, record.changes(found.record.data, data))
        if not saved:
            raise UpdateError
        self._take(saved)

    def delete(self, session_key: str | None = None) -> None:
        if session_key or self.session_key:
            _wait(lambda: self.adelete(session_key))

    async def adelete(self, session_key: str | None = None) -> None:
        signed = _store().keys.read(session_key or self.session_key or "")
        if signed is not None:
            await _store().delete(signed.id)

    def cycle_key(self) -> None:
        _wait(self.acycle_key)

    async def acycle_key(self) -> None:
        data, found = await self._aget_session(), self._found
        moved = found and await self._lasting().move(found, record.changes(found.record.data, data))
        if moved:
            self._take(moved)
            self.modified = True
        else:
            if found is not None:
                self._session_cache = dict[str, Any]()  # it has ended while it was used
            await self.acreate()

    @classmethod
    def clear_expired(cls) -> None:
        """The shared state does that by itself."""

    @classmethod
    async def aclear_expired(cls) -> None:
        """As `clear_expired`."""

    async def _find(self) -> Found | None:
        return await _store().find([self.session_key]) if self.session_key else None

    def _lasting(self) -> Store:
        """The store for a session that lasts as long as Django says of this one."""
        age = max(1.0, float(self.get_expiry_age(expiry=self._get_session(no_load=True).get("_session_expiry"))))
        return _store()._replace(lifetimes=Lifetimes(age, math.inf))

    def _take(self, saved: Found) -> None:
        """The session is as it has been saved: with a changed id, and with what others have changed meanwhile."""
        self._session_key = _store().keys.sign(saved.id)
        if (data := _copy(saved).data) != self._session_cache:
            self._session_cache = data
        # What it is compared with at the next save is a copy that nobody changes.
        self._found = saved._replace(record=_copy(saved))


def _copy(found: Found) -> Record:
    stored = record.decode(found.raw)
    assert stored is not None  # it has been decoded, or encoded, before
    return stored


def _store() -> Store:
    given = getattr(settings, "COREPOD_SESSION_KEYS", None) or (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    known = given if isinstance(given, str) else tuple(given)
    return _made(known, getattr(settings, "COREPOD_SESSION_MAX_SIZE", MAX_SIZE))


@lru_cache(maxsize=8)
def _made(given: str | tuple[str, ...], max_size: int) -> Store:
    # How long each session lasts is Django's decision; the shared state ends it then.
    return Store(Keys(given), Lifetimes(math.inf, math.inf), max_size, state.backend)


def _wait(call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    return wait(call, INSTEAD)
