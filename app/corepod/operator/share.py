"""One object for all equal ones: what thousands of pods and nodes have alike takes memory once."""

from __future__ import annotations

from typing import Any, TypeVar

T = TypeVar("T")
MOST = 50_000  # kept; sharing is only thrift, so a full table is emptied rather than managed

_shared: dict[Any, Any] = {}


def same(value: T) -> T:
    """The first object equal to this one. It has to be hashable, and nobody may ever change it."""
    if len(_shared) >= MOST:
        _shared.clear()
    found: T = _shared.setdefault((type(value), value), value)
    return found
