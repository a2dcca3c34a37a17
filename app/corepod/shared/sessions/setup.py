"""The sessions of an application from what it has been given, checked before the first request."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from corepod.shared import state
from corepod.shared.sessions.keys import Keys
from corepod.shared.sessions.record import Lifetimes
from corepod.shared.sessions.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterable

DAY = 86400.0  # seconds
IDLE, ABSOLUTE = 14 * DAY, 90 * DAY


def store(keys: str | Iterable[str | bytes], idle: float, absolute: float, max_size: int) -> Store:
    """Raises ValueError (KeysError) where something can't be."""
    for name, value in (("idle", idle), ("absolute", absolute)):
        if not value > 0 or math.isnan(value):
            raise ValueError(f"{name} is how many seconds a session lasts, and has to be above 0, but is {value!r}")
    if max_size < 1:
        raise ValueError(f"max_size is how many bytes a session may have, and has to be above 0, but is {max_size!r}")
    return Store(Keys(keys), Lifetimes(idle, absolute), max_size, state.backend)
