"""State in a Redis or a Valkey. Only the modules of this folder import redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.shared.backend import Backend
    from corepod.worker.application.shared_state import SharedSettings

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")


def connect(settings: SharedSettings) -> Backend:
    """The backend of this process and event loop; it connects when it is used.

    Raises ValueError where the URL is none of a Redis, and ModuleNotFoundError where redis isn't installed.
    """
    try:
        from corepod.shared.redis.backend import RedisBackend
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise ModuleNotFoundError(
            "the URL in shared is that of a Redis, whose client isn't installed: pip install 'corepod[redis]'", name="redis"
        ) from None
    return RedisBackend(settings)
