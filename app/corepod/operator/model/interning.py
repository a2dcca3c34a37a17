"""One object for all equal ones, so that what thousands of pods and nodes have in common takes memory once."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")
MOST = 50_000  # objects; a full table is simply emptied, because interning only saves memory

_interned: dict[Any, Any] = {}


def interned(value: T) -> T:
    """The first object that was equal to this one. It must be hashable and never changed."""
    if len(_interned) >= MOST:
        _interned.clear()
    found: T = _interned.setdefault((type(value), value), value)
    return found
