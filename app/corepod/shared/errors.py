"""What can go wrong with shared state, besides wrong arguments."""

from __future__ import annotations


class SharedError(Exception):
    """The base of the errors of `corepod.shared`."""


class Unavailable(SharedError):  # noqa: N818 - a state of the world, as in HTTP
    """The shared state can't be reached, or hasn't answered within `shared_timeout`."""


class LockLost(SharedError):  # noqa: N818
    """A lock was lost while it was held: its lease ran out, or another one took it."""
