"""Shared state of one machine: a file of SQLite for values and locks, and `corepod.ipc` for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.shared.embedded.backend import EmbeddedBackend

if TYPE_CHECKING:
    from corepod.worker.application.shared_state import SharedSettings


def connect(settings: SharedSettings) -> EmbeddedBackend:
    """Opens nothing: the first operation does."""
    return EmbeddedBackend(settings)
