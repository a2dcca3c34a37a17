"""The time by which what is stored expires: that of the file.

It goes on with CLOCK_BOOTTIME, which nobody sets and which counts while the machine sleeps; so a jump of the wall clock
keeps no key alive and drops no lease. Between two boots only the wall clock has counted, and it never makes the file's
time go back.
"""

from __future__ import annotations

import time
from typing import NamedTuple

BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Anchor(NamedTuple):
    """What the file's time is CLOCK_BOOTTIME plus, in the boot for which that is so."""

    boot: str
    offset: float


def anchor(stored: Anchor | None, last: float, boot: str, wall: float, running: float) -> Anchor:
    """The anchor for this boot. `last`: a time of the file that has been; `running`: CLOCK_BOOTTIME."""
    if stored is not None and boot and stored.boot == boot:
        return stored
    return Anchor(boot, max(wall, last) - running)


def boot_id() -> str:
    """Empty where the kernel doesn't say."""
    try:
        with open(BOOT_ID) as file:
            return file.read().strip()
    except OSError:
        return ""


def running() -> float:
    """Seconds since the boot, suspended ones included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
