"""The backend for one machine: each operation is a transaction on the file."""

from __future__ import annotations

import asyncio
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from corepod.shared import values
from corepod.shared.arguments import INTEGER_MOST
from corepod.shared.backend import When
from corepod.shared.embedded import rules, where
from corepod.shared.embedded.messages import Messages
from corepod.shared.embedded.rules import Held
from corepod.shared.embedded.store import store

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator

    from corepod.shared.backend import Allowance
    from corepod.shared.embedded.file import File
    from corepod.worker.application.shared_state import SharedSettings

T = TypeVar("T")
_PUT = (
    "INSERT INTO state (key, value, expires) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires"
)
_GET = "SELECT value FROM state WHERE key = ? AND (expires IS NULL OR expires > ?)"
_DELETE = "DELETE FROM state WHERE key = ? AND (expires IS NULL OR expires > ?)"
_TOUCH = "UPDATE state SET expires = ? WHERE key = ? AND (expires IS NULL OR expires > ?)"
_REPLACE = "UPDATE state SET value = ? WHERE key = ?"
_HELD = "SELECT owner, token, expires FROM lock WHERE name = ?"
_HOLD = "INSERT OR REPLACE INTO lock (name, owner, token, expires) VALUES (?, ?, ?, ?)"
_LAST = "INSERT OR REPLACE INTO meta VALUES ('token', ?)"


class EmbeddedBackend:
    """Belongs to one event loop; its store is the process's."""

    def __init__(self, settings: SharedSettings) -> None:
        self._timeout = settings.timeout
        self._store = store(where.path(settings, os.environ, os.geteuid()), chosen=bool(settings.url))
        self._messages = Messages(settings.timeout)
        self.publish, self.subscribe = self._messages.publish, self._messages.subscribe
        self.subscribed = self._messages.subscribed

    async def get(self, key: str) -> bytes | None:
        return await self._read(lambda file, db: _value(db, key, file.now()))

    async def set(self, key: str, value: bytes, expires: float | None, when: When) -> bool:
        def work(db: sqlite3.Connection, now: float) -> bool:
            if when is not When.ALWAYS and (_value(db, key, now) is not None) != (when is When.PRESENT):
                return False
            db.execute(_PUT, (key, value, _after(expires, now)))
            return True

        return await self._change(work)

    async def delete(self, key: str) -> bool:
        return await self._change(lambda db, now: db.execute(_DELETE, (key, now)).rowcount > 0)

    async def touch(self, key: str, expires: float | None) -> bool:
        return await self._change(lambda db, now: db.execute(_TOUCH, (_after(expires, now), key, now)).rowcount > 0)

    async def increment(self, key: str, by: int, expires: float | None) -> int:
        def work(db: sqlite3.Connection, now: float) -> int:
            found = _value(db, key, now)
            total = by + (0 if found is None else values.integer(found))
            if not -INTEGER_MOST - 1 <= total <= INTEGER_MOST:
                raise OverflowError(f"the sum {total} has no place in 64 bits")
            if found is None:
                db.execute(_PUT, (key, b"%d" % total, _after(expires, now)))
            else:
                db.execute(_REPLACE, (b"%d" % total, key))
            return total

        return await self._change(work)

    async def compare_and_set(
        self, key: str, expected: bytes | None, value: bytes | None, expires: float | None
    ) -> bool:
        def work(db: sqlite3.Connection, now: float) -> bool:
            if _value(db, key, now) != expected:
                return False
            if value is None:
                db.execute(_DELETE, (key, now))
            else:
                db.execute(_PUT, (key, value, _after(expires, now)))
            return True

        return await self._change(work)

    async def acquire(self, name: str, owner: str, lease: float) -> int | None:
        def work(db: sqlite3.Connection, now: float) -> int | None:
            last = db.execute("SELECT value FROM meta WHERE name = 'token'").fetchone()
            held = rules.take(_held(db, name), owner, lease, now, last[0] if last else 0)
            if held is None:
                return None
            db.execute(_HOLD, (name, *held))
            if last is None or held.token > last[0]:
                db.execute(_LAST, (held.token,))
            return held.token

        return await self._change(work)

    async def renew(self, name: str, owner: str, lease: float) -> bool:
        def work(db: sqlite3.Connection, now: float) -> bool:
            held = rules.keep(_held(db, name), owner, lease, now)
            if held is not None:
                db.execute(_HOLD, (name, *held))
            return held is not None

        return await self._change(work)

    async def release(self, name: str, owner: str) -> bool:
        statement = "DELETE FROM lock WHERE name = ? AND owner = ? AND expires > ?"
        return await self._change(lambda db, now: db.execute(statement, (name, owner, now)).rowcount > 0)

    async def allow(self, key: str, limit: int, per: float) -> Allowance:
        def work(db: sqlite3.Connection, now: float) -> Allowance:
            row = db.execute("SELECT expires FROM rate WHERE key = ?", (key,)).fetchone()
            allowance, arrival = rules.admit(row[0] if row else None, limit, per, now)
            if arrival is not None:
                db.execute("INSERT OR REPLACE INTO rate VALUES (?, ?)", (key, arrival))
            return allowance

        return await self._change(work)

    async def close(self) -> None:
        self._messages.close()
        await asyncio.sleep(0)

    async def _read(self, work: Callable[[File, sqlite3.Connection], T]) -> T:
        return await self._store.run(work, self._timeout)

    async def _change(self, work: Callable[[sqlite3.Connection, float], T]) -> T:
        def transaction(file: File, db: sqlite3.Connection) -> T:
            with _transaction(db):
                now = file.now()
                result = work(db, now)
                file.tidy(db, now)
                return result

        return await self._store.run(transaction, self._timeout)


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _value(db: sqlite3.Connection, key: str, now: float) -> bytes | None:
    row: tuple[Any] | None = db.execute(_GET, (key, now)).fetchone()
    return None if row is None else bytes(row[0])


def _held(db: sqlite3.Connection, name: str) -> Held | None:
    row = db.execute(_HELD, (name,)).fetchone()
    return None if row is None else Held(*row)


def _after(expires: float | None, now: float) -> float | None:
    return None if expires is None else now + expires
