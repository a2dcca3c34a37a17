"""A worker's own record of the scoreboard, whose layout is in `corepod.contract.scoreboard`."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from contextlib import suppress
from struct import pack, pack_into, unpack

from corepod.contract.scoreboard import (
    ACCEPTED,
    ENTRIES,
    ENTRY_OFFSET,
    ENTRY_SIZE,
    IDLE,
    LEADER,
    MEMBERSHIP_OFFSET,
    PRESENCE_OFFSET,
    RECORD_SIZE,
    SERVES,
    SIZE,
    TAKER,
    WORDS,
)
from corepod.contract.shape import shape

TEXT = ENTRY_SIZE - 8
_ENTRY_TEXT = f"{TEXT - 1}sx"
_IDLE = bytes([IDLE])
FLOCK = "hhqqi0q"  # struct flock: type, whence, start, length, pid


class ScoreboardRecord:
    """What a worker counts. Before it is attached to a record, it writes to memory of its own: the warm-up isn't
    counted.

    The descriptor stays open for its locks: with any descriptor of the scoreboard that this process closed, the kernel
    would take all of them from it.
    """

    def __init__(self, fd: int) -> None:
        self._fd, self._file = fd, os.fstat(fd)
        self._map = mmap.mmap(fd, SIZE)
        self._records = memoryview(self._map)[:PRESENCE_OFFSET].cast("Q")
        self._presence = memoryview(bytearray(1))
        self._membership = memoryview(self._map)[MEMBERSHIP_OFFSET:].cast("Q")
        self._use(memoryview(bytearray(RECORD_SIZE)))

    def attach(self, number: int) -> None:
        """Write into this record of the scoreboard from now on."""
        start = number * RECORD_SIZE
        self._use(memoryview(self._map)[start : start + RECORD_SIZE])
        self._presence = memoryview(self._map)[PRESENCE_OFFSET + number : PRESENCE_OFFSET + number + 1]

    def lead(self) -> bool:
        """Take the lead of the pool, unless another process has it; whether this one has it now.

        The lock belongs to the process until that has ended: no fork inherits it, and the kernel releases it however
        the process ends. Raises OSError where the system has no such locks, or where the application has closed the
        descriptor: the kernel has released the lock with it.
        """
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, LEADER)

    def take_turn(self, slot: int) -> bool:
        """Become the one worker of this slot that reads the slot's inbox; whether this one is. Raises OSError as `lead`
        does."""
        return self._lock(fcntl.LOCK_EX | fcntl.LOCK_NB, TAKER + slot)

    def end_turn(self, slot: int) -> None:
        """Raises OSError as `lead` does."""
        self._lock(fcntl.LOCK_UN, TAKER + slot)

    def serve(self, slot: int) -> None:
        """Be one of the workers that take connections for this slot. The kernel knows it until `serve_no_more`, or the
        end of this process, however that comes. Raises OSError as `lead` does."""
        self._lock(fcntl.LOCK_SH | fcntl.LOCK_NB, SERVES + slot)

    def serve_no_more(self, slot: int) -> None:
        """Where the application has closed the descriptor, the kernel has done that."""
        with suppress(OSError):
            self._lock(fcntl.LOCK_UN, SERVES + slot)

    def is_served(self, slot: int) -> bool:
        """Whether another process takes connections for this slot."""
        asked = pack(FLOCK, fcntl.F_WRLCK, os.SEEK_SET, SERVES + slot, 1, 0)
        try:
            found = fcntl.fcntl(self._fd, fcntl.F_GETLK, asked)
        except OSError:
            return False
        return int(unpack(FLOCK, found)[0]) != fcntl.F_UNLCK

    def _lock(self, operation: int, byte: int) -> bool:
        if not os.path.samestat(os.fstat(self._fd), self._file):
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        try:
            fcntl.lockf(self._fd, operation, 1, byte)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES):
                return False
            raise
        return True

    def show(self, presence: int) -> None:
        """Tell the other workers whether this one is AWAY, IDLE or BUSY."""
        self._presence[0] = presence

    @property
    def membership(self) -> int:
        """Another number whenever messages may have to go to others than before."""
        return self._membership[0]

    def idle_sibling(self) -> tuple[int, int] | None:
        """A worker that accepts connections and has nothing to serve: its record, and how many connections it has
        accepted so far. None where there is no such worker."""
        number = self._map.find(_IDLE, PRESENCE_OFFSET, MEMBERSHIP_OFFSET) - PRESENCE_OFFSET
        return (number, self._records[number * RECORD_SIZE // 8 + ACCEPTED]) if number >= 0 else None

    def _use(self, memory: memoryview) -> None:
        self.words = memory[: WORDS * 8].cast("Q")
        self.starts = memory.cast("Q")
        self._text = memory
        self._free = list(range(ENTRIES))

    def begin(self, started: int, method: str, path: bytes) -> int:
        """Note a request that is being served; returns its entry, -1 where all are in use."""
        if not self._free:
            return -1
        entry = self._free.pop()
        at = ENTRY_OFFSET + entry * ENTRY_SIZE
        # A client chooses the length of both. What is shorter is filled with NUL, and the last byte is always one.
        pack_into(_ENTRY_TEXT, self._text, at + 8, b"%b %b" % (method.encode(), path[:TEXT]))
        self.starts[at >> 3] = started
        return entry

    def serving(self) -> list[str]:
        """What is being served, oldest first, in the shape in which it may be logged: as many as there are entries."""
        found = []
        for at in range(ENTRY_OFFSET, ENTRY_OFFSET + ENTRIES * ENTRY_SIZE, ENTRY_SIZE):
            if started := self.starts[at >> 3]:
                text = bytes(self._text[at + 8 : at + ENTRY_SIZE]).split(b"\0", 1)[0]
                found.append((started, shape(text.decode("ascii", "replace"))))
        return [text for _, text in sorted(found)]

    def end(self, entry: int) -> None:
        """The request of this entry has been served."""
        if entry >= 0:
            self.starts[(ENTRY_OFFSET + entry * ENTRY_SIZE) >> 3] = 0
            self._free.append(entry)
