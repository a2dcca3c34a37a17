"""What can go wrong with shared state, besides wrong arguments."""

from __future__ import annotations

from corepod.worker.application import unavailable

# Whoever imports this uses shared state.
unavailable.expect()


class SharedError(Exception):
    """The base of the errors of `corepod.shared`."""


class Unavailable(SharedError):
    """The shared state can't be reached, or hasn't answered within `shared_timeout`. A request that fails with it is
    answered with 503."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        unavailable.note(self)


class LockLost(SharedError):
    """A lock was lost while it was held: its lease ran out, or another one took it."""
