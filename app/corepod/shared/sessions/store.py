"""Finds sessions in the shared state, and saves what requests have changed.

Two requests of one session may run at the same time, in different pods. Each one's changes are applied to what is
stored, key by key, with compare-and-set: what the other has changed under other keys stays, and under the same key the
last one wins. A session that another request has ended stays ended: nothing is written to an id that has no value.
"""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from corepod.shared import arguments
from corepod.shared.backend import When
from corepod.shared.errors import Unavailable
from corepod.shared.sessions import keys, record
from corepod.shared.sessions.record import Record
from corepod.shared.sessions.session import Found

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from corepod.shared.backend import Backend
    from corepod.shared.sessions.keys import Keys
    from corepod.shared.sessions.record import Changes, Lifetimes
    from corepod.shared.sessions.session import Session

ATTEMPTS = 64  # each one that fails means that another request of the same session has been served


class Answer(NamedTuple):
    """What the client's cookie becomes."""

    value: str | None = None  # None: it stays as it is
    max_age: int = 0  # seconds
    remove: bool = False


UNCHANGED = Answer()
REMOVE = Answer(remove=True)


class Store(NamedTuple):
    """The sessions of one application."""

    keys: Keys
    lifetimes: Lifetimes
    max_size: int
    backend: Callable[[], Backend]
    clock: Callable[[], float] = time.time

    async def find(self, values: Iterable[str]) -> Found | None:
        """The session that the first cookie which is signed and not expired stands for."""
        for value in values:
            signed = self.keys.read(value)
            if signed is not None and (found := await self._stored(signed.id, signed.current)) is not None:
                return found
        return None

    async def commit(self, session: Session) -> Answer:
        """Save what has changed, at the end of a request. Raises SessionTooLarge, NotJSON, and Unavailable."""
        if not session.loaded or not session.accessed:
            return UNCHANGED
        found, data = session.found, dict(session)
        if found is None:
            return self._given(await self.create(data)) if data else UNCHANGED
        changed = record.changes(found.record.data, data)
        if session.cleared or (changed and not data):
            return await self._end(found, data)
        if session.renewed:
            return self._given(await self.move(found, changed))
        if changed or found.record.touch_due(self.clock(), self.lifetimes):
            return self._given(await self.update(found, changed))
        return UNCHANGED if found.current else self._given(found)

    async def create(self, data: dict[str, Any]) -> Found:
        """A session that nobody had before."""
        now = self.clock()
        new = self._encoded(keys.new_id(), Record(now, now, data))
        await self._set(new, When.ABSENT)
        return new

    async def update(self, found: Found, changed: Changes) -> Found | None:
        """Apply changes to what is stored now; None, and nothing is written, where the session has ended."""
        latest: Found | None = found
        for _ in range(ATTEMPTS):
            if latest is None:
                return None
            stored, now = latest.record, self.clock()
            new = self._encoded(found.id, Record(stored.created, now, changed.applied_to(stored.data)))
            left = self.lifetimes.left(stored.created, now)
            if await self.backend().compare_and_set(_key(found.id), latest.raw, new.raw, left):
                return new
            latest = await self._stored(found.id, found.current)
        raise _contended()

    async def move(self, found: Found, changed: Changes) -> Found | None:
        """Give what is stored now, with the changes, a new id, and end the old one. Where that has ended already, only
        what this request itself has set goes on; None where that is nothing."""
        id, latest = keys.new_id(), await self._stored(found.id, found.current)  # noqa: A001
        for _ in range(ATTEMPTS):
            now = self.clock()
            data = changed.applied_to(latest.record.data if latest is not None else {})
            new = self._encoded(id, Record(now, now, data))
            if data:
                await self._set(new, When.ALWAYS)
            if latest is None or await self.backend().compare_and_set(_key(found.id), latest.raw, None, None):
                return new if data else None
            latest = await self._stored(found.id, found.current)
        raise _contended()

    async def delete(self, id: str) -> None:  # noqa: A002
        """End a session."""
        await self.backend().delete(_key(id))

    async def _end(self, found: Found, data: dict[str, Any]) -> Answer:
        after = self._given(await self.create(data)) if data else REMOVE
        await self.delete(found.id)
        return after

    def _encoded(self, id: str, new: Record) -> Found:  # noqa: A002
        return Found(id, True, record.encode(new, self.max_size), new)

    async def _set(self, new: Found, when: When) -> None:
        left = self.lifetimes.left(new.record.created, new.record.touched)
        await self.backend().set(_key(new.id), new.raw, left, when)

    async def _stored(self, id: str, current: bool) -> Found | None:  # noqa: A002
        raw = await self.backend().get(_key(id))
        stored = record.decode(raw)
        if raw is None or stored is None or stored.expired(self.clock(), self.lifetimes):
            return None
        return Found(id, current, raw, stored)

    def _given(self, found: Found | None) -> Answer:
        if found is None:
            return UNCHANGED
        left = self.lifetimes.left(found.record.created, self.clock())
        return Answer(self.keys.sign(found.id), math.ceil(left))


def _key(id: str) -> str:  # noqa: A002
    return arguments.key(keys.place(id))


def _contended() -> Unavailable:
    return Unavailable(f"{ATTEMPTS} other requests have changed the same session while this one tried to save it")
