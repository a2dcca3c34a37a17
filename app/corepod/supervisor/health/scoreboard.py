"""The scoreboard, read: the supervisor's side of the shared memory laid out in `corepod.contract.scoreboard`."""

from __future__ import annotations

import fcntl
import mmap
import os
import struct

from corepod.contract.scoreboard import (
    ENTRIES,
    ENTRY_OFFSET,
    ENTRY_SIZE,
    LEADER,
    MEMBERSHIP_OFFSET,
    PRESENCE_OFFSET,
    RECORD_SIZE,
    RECORDS,
    SIZE,
    WORDS,
)
from corepod.contract.shape import shape

_WORDS_A_RECORD = RECORD_SIZE // 8
_FLOCK = "hhqqi0q"  # type, whence, start, length, pid: struct flock


class SharedScoreboard:
    """Records for the living workers. Untouched records cost no memory."""

    def __init__(self) -> None:
        self.fd = os.memfd_create("corepod-scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, SIZE)
        # Workers have it, too: were one to shrink it, the supervisor's next look would be a bus error.
        try:
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
        except OSError:
            pass  # a sandbox without seals
        self._map = mmap.mmap(self.fd, SIZE)
        self._words = memoryview(self._map)[:PRESENCE_OFFSET].cast("Q")
        self._membership = memoryview(self._map)[MEMBERSHIP_OFFSET:].cast("Q")
        self._free = list(range(RECORDS - 1, -1, -1))

    @property
    def free(self) -> int:
        """How many records are left. There may be none while the workers of several reloads still drain."""
        return len(self._free)

    def acquire(self) -> int:
        """An empty record for a new worker. Raises IndexError where there is none."""
        record = self._free.pop()
        start = record * RECORD_SIZE
        self._map[start : start + RECORD_SIZE] = bytes(RECORD_SIZE)
        self._map[PRESENCE_OFFSET + record] = 0
        return record

    def release(self, record: int) -> None:
        """The worker is gone and its numbers are kept: the record may serve another."""
        # Otherwise busy workers would leave connections to a worker that has died idle.
        self._map[PRESENCE_OFFSET + record] = 0
        self._free.append(record)

    def leader(self) -> int | None:
        """The process that holds the lead of the pool, None where none has taken it."""
        asked = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, LEADER, 1, 0)
        try:
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(self.fd, fcntl.F_GETLK, asked))
        except OSError:
            return None  # a sandbox without locks
        return pid if kind != fcntl.F_UNLCK else None

    def membership_changed(self) -> None:
        """Let whoever sends messages to workers ask who is there."""
        self._membership[0] += 1

    def word(self, record: int, index: int) -> int:
        return int(self._words[record * _WORDS_A_RECORD + index])

    def words(self, record: int) -> list[int]:
        start = record * _WORDS_A_RECORD
        return self._words[start : start + WORDS].tolist()

    def serving(self, record: int) -> list[tuple[float, str]]:
        """What the worker is serving, oldest first: start (CLOCK_MONOTONIC seconds) and "METHOD shape".

        A worker that died in the middle of a write may have left half a text; it is shown as far as it goes.
        """
        found = []
        for entry in range(ENTRIES):
            at = record * RECORD_SIZE + ENTRY_OFFSET + entry * ENTRY_SIZE
            started = int(self._words[at // 8])
            if started:
                text = self._map[at + 8 : at + ENTRY_SIZE].split(b"\0", 1)[0]
                found.append((started / 1e9, shape(text.decode("ascii", "replace"))))
        return sorted(found)
