"""The sessions of an application from what it has been given, checked before the first request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.shared import state
from corepod.shared.arguments import EXPIRES_MOST
from corepod.shared.sessions.keys import Keys
from corepod.shared.sessions.record import Lifetimes
from corepod.shared.sessions.store import Store
from corepod.shared.values import VALUE_MOST

if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST = VALUE_MOST - 1024  # bytes of JSON, beside which its times have place
DAY = 86400.0  # seconds
IDLE, ABSOLUTE = 14 * DAY, 90 * DAY


def store(keys: str | Iterable[str | bytes], idle: float, absolute: float, max_size: int) -> Store:
    """Raises ValueError (KeysError) where something can't be."""
    for name, value in (("idle", idle), ("absolute", absolute)):
        if not value > 0:
            raise ValueError(f"{name} is how many seconds a session lasts, and has to be above 0, but is {value!r}")
    if idle > EXPIRES_MOST:
        raise ValueError(f"idle is {EXPIRES_MOST:.0f} seconds at most, but is {idle!r}")
    if not 0 < max_size <= LARGEST:
        raise ValueError(f"max_size is 1 to {LARGEST} bytes, but is {max_size!r}")
    return Store(Keys(keys), Lifetimes(idle, absolute), max_size, state.backend)
