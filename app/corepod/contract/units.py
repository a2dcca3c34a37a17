"""Times and sizes as people read them."""

from __future__ import annotations

import time

MINUTE, HOUR, DAY = 60, 3600, 86400
KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


def duration(seconds: float) -> str:
    """A length of time in at most two units, rounded down: 59 s, 3 min, 1 h 2 min, 60 d 0 h. Below 0 counts as 0."""
    whole = max(0, int(seconds))
    if whole < MINUTE:
        return f"{whole} s"
    if whole < HOUR:
        return f"{whole // MINUTE} min"
    if whole < DAY:
        return f"{whole // HOUR} h {whole % HOUR // MINUTE} min"
    return f"{whole // DAY} d {whole % DAY // HOUR} h"


def size(count: int | None) -> str:
    """A number of bytes in powers of 1024: 512 kB, 40 MB, 12.5 GB. None, for unknown, is a dash."""
    if count is None:
        return "-"
    if count < MB:
        return f"{count / KB:.0f} kB"
    if count < 10 * GB:
        return f"{count / MB:.0f} MB"
    return f"{count / GB:.1f} GB"


def timestamp(seconds: float | None = None) -> str:
    """This time of the wall clock, or now, in UTC with milliseconds, as every line of a log has it."""
    seconds = time.time() if seconds is None else seconds
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"
