"""The session of one client as a request sees it: a mapping of text to what JSON can express."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import Any, NamedTuple

from corepod.shared.sessions.record import Record, decode


class NotLoaded(RuntimeError):
    """The session has been used before it was loaded."""


class Found(NamedTuple):
    """A session that the shared state has."""

    id: str
    current: bool  # its cookie is signed with the first key
    raw: bytes
    record: Record


class Session(MutableMapping[str, Any]):
    """What is changed here is saved when the response begins. A change inside of a value is noticed, too.

    Not thread-safe, as a dict. Raises `shared.Unavailable` where it is used and can't be loaded.
    """

    def __init__(self, fetch: Callable[[], Found | None]) -> None:
        self._fetch = fetch
        self._data: dict[str, Any] | None = None
        self.found: Found | None = None
        self.accessed = self.renewed = self.cleared = self.closed = False

    # For applications

    def renew(self) -> None:
        """Give the session a new id with the response, and end the old one there and then. Call it wherever somebody
        has logged in or has got more rights, so that an id that another one has planted before is worth nothing."""
        self._writable()
        self.renewed = True

    def clear(self) -> None:
        """End this session, as at a logout. What is set afterwards begins another one, with an id of its own."""
        self._writable().clear()
        self.cleared = True

    def __getitem__(self, key: str) -> Any:
        return self._opened()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._writable()[key] = value

    def __delitem__(self, key: str) -> None:
        del self._writable()[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._opened())

    def __len__(self) -> int:
        return len(self._opened())

    def __repr__(self) -> str:  # the values are nobody's business in a log
        state = "not loaded" if self._data is None else f"{len(self._data)} keys"
        return f"<{type(self).__name__}: {state}>"

    # For adapters

    def fill(self, found: Found | None) -> None:
        """What the shared state has for it. The data is a copy of its own, to be compared at the end."""
        self.found = found
        stored = decode(found.raw) if found is not None else None
        self._data = stored.data if stored is not None else {}

    @property
    def loaded(self) -> bool:
        """Whether `fill` has been called."""
        return self._data is not None

    def close(self) -> None:
        """It has been saved: what is changed from now on would be lost, and is an error."""
        self.closed = True

    def _opened(self) -> dict[str, Any]:
        self.accessed = True
        if self._data is None:
            self.fill(self._fetch())
        assert self._data is not None
        return self._data

    def _writable(self) -> dict[str, Any]:
        if self.closed:
            raise RuntimeError("the response has begun, and the session was saved with its head: change it before")
        return self._opened()
