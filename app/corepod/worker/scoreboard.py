"""A worker's own record of the scoreboard, whose layout is in `corepod.contract.scoreboard`."""

from __future__ import annotations

import mmap
from struct import pack_into

from corepod.contract.scoreboard import (
    ACCEPTED,
    ENTRIES,
    ENTRY_OFFSET,
    ENTRY_SIZE,
    LOAD_MOST,
    LOAD_OFFSET,
    RECORD_SIZE,
    SIZE,
    WORDS,
)

TEXT = ENTRY_SIZE - 8
_ENTRY_TEXT = f"{TEXT - 1}sx"
SEARCHED = 8  # requests in flight up to which a worker is told apart from one with fewer
LOADS = [bytes([load]) for load in range(SEARCHED + 1)]


class ScoreboardRecord:
    """What a worker counts. Before it is attached to a record, it writes to memory of its own: the warm-up isn't
    counted."""

    def __init__(self, fd: int) -> None:
        self._map = mmap.mmap(fd, SIZE)
        self._records = memoryview(self._map)[:LOAD_OFFSET].cast("Q")
        self._load = memoryview(bytearray(1))
        self._use(memoryview(bytearray(RECORD_SIZE)))

    def attach(self, number: int) -> None:
        """Write into this record of the scoreboard from now on."""
        start = number * RECORD_SIZE
        self._use(memoryview(self._map)[start : start + RECORD_SIZE])
        self._load = memoryview(self._map)[LOAD_OFFSET + number : LOAD_OFFSET + number + 1]

    def show_load(self, in_flight: int | None) -> None:
        """Tell the other workers how many requests are in flight, None while this one accepts no connections."""
        self._load[0] = 0 if in_flight is None else min(in_flight + 1, LOAD_MOST)

    def lighter_sibling(self, in_flight: int) -> tuple[int, int] | None:
        """A worker that accepts connections and has fewer requests in flight, the least busy first: its record, and how
        many connections it has accepted so far. None where there is no such worker."""
        for load in range(1, min(in_flight, SEARCHED) + 1):
            number = self._map.find(LOADS[load], LOAD_OFFSET) - LOAD_OFFSET
            if number >= 0:
                return number, self._records[number * RECORD_SIZE // 8 + ACCEPTED]
        return None

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

    def end(self, entry: int) -> None:
        """The request of this entry has been served."""
        if entry >= 0:
            self.starts[(ENTRY_OFFSET + entry * ENTRY_SIZE) >> 3] = 0
            self._free.append(entry)
