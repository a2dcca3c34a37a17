"""What callers may ask for, checked in one place: every backend sees only what is right."""

from __future__ import annotations

import math
from numbers import Real

from corepod.worker.application import shared_state

KEY_MOST = 512  # bytes of a key, a name or a topic, without the prefix
EXPIRES_MOST = 10 * 365 * 86400.0  # seconds: what is longer is meant to be for ever
LIMIT_MOST = 1_000_000_000  # attempts
INTEGER_MOST = 2**63 - 1


def key(name: str) -> str:
    """A key, name or topic with the application's prefix. Raises TypeError or ValueError."""
    if not isinstance(name, str):
        raise TypeError(f"a key, name or topic is a str, not {type(name).__name__}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name!r} is no text that UTF-8 can express (a lone surrogate)") from None
    if not 0 < size <= KEY_MOST:
        raise ValueError(f"a key, name or topic has 1 to {KEY_MOST} bytes of UTF-8, not {size}")
    return shared_state.current().prefix + name


def expiry(seconds: float | None) -> float | None:
    """Raises TypeError or ValueError."""
    return None if seconds is None else _duration("expires", seconds, EXPIRES_MOST)


def lease(seconds: float) -> float:
    """Raises TypeError or ValueError."""
    return _duration("lease", seconds, 86400.0, least=0.1)


def wait(seconds: float | None) -> float | None:
    """Raises TypeError or ValueError."""
    return None if seconds is None else _duration("wait", seconds, math.inf, least=0.0)


def step(by: int) -> int:
    """What is added to a number. Raises TypeError or OverflowError."""
    if not isinstance(by, int) or isinstance(by, bool):
        raise TypeError(f"by is an int, not {type(by).__name__}")
    if not -INTEGER_MOST - 1 <= by <= INTEGER_MOST:
        raise OverflowError(f"by = {by} has no place in 64 bits")
    return by


def rate(limit: int, per: float) -> None:
    """Raises TypeError or ValueError."""
    if not isinstance(limit, int) or isinstance(limit, bool):
        raise TypeError(f"limit is an int, not {type(limit).__name__}")
    if not 0 < limit <= LIMIT_MOST:
        raise ValueError(f"limit is 1 to {LIMIT_MOST} attempts, not {limit}")
    _duration("per", per, EXPIRES_MOST)


def _duration(what: str, seconds: float, most: float, least: float = 0.001) -> float:
    if not isinstance(seconds, Real) or isinstance(seconds, bool):
        raise TypeError(f"{what} is a number of seconds, not {type(seconds).__name__}")
    if not least <= seconds <= most:  # NaN, too
        raise ValueError(f"{what} is {least:g} to {most:g} seconds, not {seconds:g}")
    return float(seconds)
