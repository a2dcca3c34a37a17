"""What is stored of a session, and the decisions about it: what has changed, when it has expired, when it is renewed.

Everything here is a function of what is stored and of the time, in Unix seconds, because pods have no other in common.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_SIZE = 64 << 10  # bytes of JSON
TOUCHED_EACH = 0.1  # of the idle lifetime: a session that is only read is written at most this often


class SessionTooLarge(ValueError):
    """A session has more than `max_size` bytes of JSON."""


class NotJSON(TypeError):
    """A session has something in it that JSON can't express."""


class Lifetimes(NamedTuple):
    """Seconds after which a session ends."""

    idle: float  # since it was used
    absolute: float  # since it was made or renewed

    def left(self, created: float, now: float) -> float:
        """Seconds that a session which is used now has."""
        return min(self.idle, max(1.0, created + self.absolute - now))  # a pause may be between a look and a write


class Record(NamedTuple):
    """A session as it is stored."""

    created: float
    touched: float  # when its time to live was last extended
    data: dict[str, Any]

    def expired(self, now: float, lifetimes: Lifetimes) -> bool:
        """The shared state forgets expired sessions, too; it knows only the lifetimes that were set then."""
        return now - self.touched >= lifetimes.idle or now - self.created >= lifetimes.absolute

    def touch_due(self, now: float, lifetimes: Lifetimes) -> bool:
        """Whether its time to live is to be extended although nothing in it has changed."""
        return now - self.touched >= lifetimes.idle * TOUCHED_EACH


class Changes(NamedTuple):
    """What one request has changed, by the keys of the session."""

    set: dict[str, Any]
    removed: frozenset[str]

    def __bool__(self) -> bool:
        return bool(self.set or self.removed)

    def applied_to(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The other keys stay as they are."""
        return {key: value for key, value in data.items() if key not in self.removed} | self.set


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> Changes:
    """Also of what is inside a value. Raises NotJSON."""
    different = {
        key: value for key, value in after.items() if key not in before or text(key, before[key]) != text(key, value)
    }
    return Changes(different, frozenset(before) - frozenset(after))


def encode(record: Record, max_size: int) -> bytes:
    """Raises NotJSON, which names the key, and SessionTooLarge."""
    parts = {key: text(key, value) for key, value in record.data.items()}
    data = "{" + ",".join(f"{json.dumps(key)}:{part}" for key, part in parts.items()) + "}"
    if len(data) > max_size:  # it is ASCII
        largest = max(parts, key=lambda key: len(parts[key]))
        raise SessionTooLarge(
            f"the session has {len(data)} bytes of JSON, and max_size allows {max_size}; "
            f"most of it is {largest!r} with {len(parts[largest])}. "
            "Keep what is large in corepod.shared or a database, and its key in the session"
        )
    return f'{{"created":{record.created!r},"touched":{record.touched!r},"data":{data}}}'.encode()


def decode(raw: bytes | None) -> Record | None:
    """None also for what no version of this module has written."""
    if raw is None:
        return None
    try:
        found = json.loads(raw)
        record = Record(float(found["created"]), float(found["touched"]), found["data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return record if isinstance(record.data, dict) else None


def text(key: str, value: Any) -> str:
    """The value as JSON. Raises NotJSON."""
    if not isinstance(key, str):
        raise NotJSON(f"the keys of a session are text, but {key!r} is of type {type(key).__name__}")
    try:
        return json.dumps(value, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise NotJSON(
            f"session[{key!r}] is of type {type(value).__name__} and can't be expressed as JSON: {error}"
        ) from error
