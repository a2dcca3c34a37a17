"""The one way in which tests wait: for a condition, with a deadline, and never for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
DEADLINE = 30.0  # seconds any wait of a test may take on a busy machine


def until(
    condition: Callable[[], T], what: str | Callable[[], str], deadline: float = DEADLINE, pause: float = 0.01
) -> T:
    """Look every `pause` seconds until `condition()` is true, and return it.

    Raises AssertionError, with `what` (a function where it shows how things stand then), after `deadline` seconds.
    """
    end = time.monotonic() + deadline
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(pause)
    return value
