"""The file: opened, its tables made, and what SQLite says about it in the words of a user."""

from __future__ import annotations

import os
import sqlite3
import time
from typing import Any

from corepod.shared.embedded import clock, where
from corepod.shared.embedded.clock import Anchor
from corepod.shared.errors import Unavailable

VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS state (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, expires REAL);
CREATE INDEX IF NOT EXISTS state_expires ON state (expires) WHERE expires IS NOT NULL;
CREATE TABLE IF NOT EXISTS lock (name TEXT PRIMARY KEY, owner TEXT NOT NULL, token INTEGER NOT NULL, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lock_expires ON lock (expires);
CREATE TABLE IF NOT EXISTS rate (key TEXT PRIMARY KEY, expires REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS rate_expires ON rate (expires);
"""  # noqa: E501
EXPIRED_AT_ONCE = 4  # rows that each change takes away: more than it adds, so that the file doesn't grow
WAL_MOST = 4 << 20  # bytes of the write-ahead log that stay after it was copied into the file


class File:
    """One connection, used by one thread."""

    def __init__(self, path: str | None, *, chosen: bool) -> None:
        self.path, self._chosen = path, chosen
        self._offset = 0.0
        self._inode: tuple[int, int] | None = None
        self.connection: sqlite3.Connection | None = None

    def now(self) -> float:
        """The file's time, in about Unix seconds."""
        return clock.running() + self._offset

    def open(self, until: float) -> sqlite3.Connection:
        """The connection. Raises Unavailable, sqlite3.Error, OSError."""
        if self.connection is not None and (self.path is None or self._inode == _inode(self.path)):
            return self.connection
        self.close()
        if self.path is not None:
            where.prepare(self.path, os.geteuid(), chosen=self._chosen)
        connection = sqlite3.connect(self.path or ":memory:", timeout=0, isolation_level=None)
        try:
            self._set_up(connection, until)
        except BaseException:
            connection.close()
            raise
        self.connection = connection
        self._inode = _inode(self.path) if self.path else None
        return connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()
            self.connection = None

    def _set_up(self, connection: sqlite3.Connection, until: float) -> None:
        connection.execute(f"PRAGMA busy_timeout = {max(1, int((until - time.monotonic()) * 1000))}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "PRAGMA synchronous = NORMAL"
        )  # durable through kills; a power cut may cost the last moments
        connection.execute(f"PRAGMA journal_size_limit = {WAL_MOST}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, VERSION):
                raise Unavailable(
                    f"the shared state {self.path} is of version {version}, which this corepod doesn't know"
                )
            for statement in SCHEMA.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {VERSION}")
            self._offset = self._anchor(connection).offset
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:  # SQLite itself ends it where the disk is full
                connection.execute("ROLLBACK")
            raise
        connection.execute("PRAGMA busy_timeout = 0")  # transact waits itself

    def _anchor(self, connection: sqlite3.Connection) -> Anchor:
        values: dict[str, Any] = dict(connection.execute("SELECT name, value FROM meta"))
        stored = Anchor(values["boot"], values["offset"]) if "boot" in values else None
        found = clock.anchor(stored, values.get("seen", 0.0), clock.boot_id(), time.time(), clock.running())
        seen = found.offset + clock.running()
        rows = [("boot", found.boot), ("offset", found.offset), ("seen", seen)]
        connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", rows)
        return found

    def tidy(self, connection: sqlite3.Connection, now: float) -> None:
        """Take a few expired rows away, in the transaction of a change."""
        for table, key in (("state", "id"), ("lock", "name"), ("rate", "key")):
            expired = f"SELECT {key} FROM {table} WHERE expires <= ? LIMIT {EXPIRED_AT_ONCE}"
            connection.execute(f"DELETE FROM {table} WHERE {key} IN ({expired})", (now,))

    def explain(self, error: Exception) -> Unavailable:
        """What is wrong, where, and what to do."""
        what = getattr(error, "sqlite_errorname", "").partition("_")[2].partition("_")[0]
        place = f"the shared state {self.path}" if self.path else "the shared state in memory"
        return Unavailable(f"{place}: {error}{ADVICE.get(what, '')}")


ADVICE = {
    "BUSY": " (another process has held it for the whole of shared_timeout)",
    "LOCKED": " (another process has held it for the whole of shared_timeout)",
    "FULL": "; make room on its disk",
    "READONLY": "; let the pool's user write it and its folder, or name another file (shared = sqlite:///PATH)",
    "CANTOPEN": "; let the pool's user write in its folder, or name another file (shared = sqlite:///PATH)",
    "CORRUPT": "; its content is damaged: stop the pool, move it away together with -wal and -shm, and start again",
    "NOTADB": "; it is no database of corepod: move it away, or name another file (shared = sqlite:///PATH)",
    "IOERR": "; look at the disk it is on",
}


def _inode(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
