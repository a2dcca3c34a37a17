"""What a backend of shared state does: the contract that the conformance suite holds every one to.

Keys and names come with the prefix of the application, values as bytes that `corepod.shared.values` has made. A lock, a
rate limit and a value of the same name are strangers. Each call returns within `shared_timeout` or raises
`Unavailable`.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class When(Enum):
    """The condition on which a value is set."""

    ALWAYS = "always"
    ABSENT = "the key has no value"
    PRESENT = "the key has a value"


class Allowance(NamedTuple):
    """What a rate limit says of one attempt."""

    allowed: bool
    remaining: int  # attempts that would be allowed right now
    retry_after: float  # seconds until one will be, 0 where it was allowed


class Backend(Protocol):
    """State that all workers see. Every method is atomic."""

    async def get(self, key: str) -> bytes | None:
        """The value, None where there is none or it has expired."""

    async def set(self, key: str, value: bytes, expires: float | None, when: When) -> bool:
        """Whether it was set. `expires`: seconds from now; None: never, also where the value before would have."""

    async def delete(self, key: str) -> bool:
        """Whether there was a value."""

    async def touch(self, key: str, expires: float | None) -> bool:
        """Give a value another time to live; whether there is one."""

    async def increment(self, key: str, by: int, expires: float | None) -> int:
        """Add to a number, and return the sum. One that isn't there is 0, and gets `expires`; a later call changes
        nothing about that. Raises TypeError where the value is no integer, OverflowError outside of 64 bits."""

    async def compare_and_set(
        self, key: str, expected: bytes | None, value: bytes | None, expires: float | None
    ) -> bool:
        """Set it (delete it, with None) if the value is `expected` (None: there is none); whether it was."""

    async def acquire(self, name: str, owner: str, lease: float) -> int | None:
        """Take a lock for `lease` seconds. Returns its fencing token, larger than that of every holder before, or None
        where another one holds it. An owner that holds it already gets its token again: the answer to its last
        question may have been lost."""

    async def renew(self, name: str, owner: str, lease: float) -> bool:
        """Hold it for `lease` seconds from now on; False where this owner doesn't hold it any more."""

    async def release(self, name: str, owner: str) -> bool:
        """Give it up; False where this owner didn't hold it any more."""

    async def allow(self, key: str, limit: int, per: float) -> Allowance:
        """Count one attempt against `limit` in `per` seconds (a sliding window, GCRA); one that isn't allowed doesn't
        count."""

    async def publish(self, topic: str, data: bytes) -> None:
        """To every subscription in every worker that shares this state, at most once each."""

    def subscribe(self, topic: str, deliver: Callable[[bytes | None], None]) -> Callable[[], None]:
        """Call `deliver` in the event loop with each message from now on, and with None where some may have been lost
        (a reconnection). Returns what ends that."""

    async def subscribed(self) -> None:
        """Return when what is published from now on reaches the subscriptions that were made before."""

    async def close(self) -> None:
        """Give back connections and files."""
