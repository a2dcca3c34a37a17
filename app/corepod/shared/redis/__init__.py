"""State in a Redis or a Valkey. Only the modules of this folder use redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.shared.redis.backend import RedisBackend

if TYPE_CHECKING:
    from corepod.shared.backend import Backend
    from corepod.worker.application.shared_state import SharedSettings


def connect(settings: SharedSettings) -> Backend:
    """The backend of this process and event loop; it connects when it is used.

    Raises ValueError where the URL can't be used.
    """
    return RedisBackend(settings)
