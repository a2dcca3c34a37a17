"""The backend of this process and event loop, chosen by the URL, and made at the first use."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

from corepod.contract import shared_url
from corepod.worker.application import shared_state
from corepod.worker.ipc import place

if TYPE_CHECKING:
    from corepod.shared.backend import Backend
    from corepod.worker.application.shared_state import SharedSettings

NO_LOOP = "there is no running event loop here: in threads, use corepod.shared.sync"
TOO_EARLY = (
    "the worker's event loop doesn't run yet while the application is imported: use shared state from its lifespan on, "
    "or corepod.shared.sync in a thread that it starts"
)

_backends: dict[asyncio.AbstractEventLoop, Backend] = {}
_parents: list[dict[asyncio.AbstractEventLoop, Backend]] = []  # of processes that have forked this one


def backend() -> Backend:
    """The backend for the running event loop.

    Raises RuntimeError where none runs, or the process isn't a worker yet, and ValueError where the URL can't be used.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        raise RuntimeError(TOO_EARLY if place.is_expected() else NO_LOOP) from None
    found = _backends.get(loop)
    if found is None:
        if place.is_expected():
            raise RuntimeError(TOO_EARLY)
        for known in list(_backends):  # a copy, and pop: threads with loops of their own do this, too
            if known.is_closed():
                _backends.pop(known, None)
        found = _backends[loop] = _connect(shared_state.current())
    return found


async def close() -> None:
    """Close the backend of the running event loop; the next use makes another one."""
    found = _backends.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


def _connect(settings: SharedSettings) -> Backend:
    if wrong := shared_url.fault(settings.url):
        raise ValueError(f"the URL in `shared` (COREPOD_SHARED): {wrong}")
    if shared_url.split(settings.url).scheme in shared_url.REDIS:
        from corepod.shared import redis

        return redis.connect(settings)
    from corepod.shared import embedded

    return embedded.connect(settings)


def _forget() -> None:
    """In a forked child: what the parent has opened is the parent's, and isn't even closed here."""
    global _backends
    if _backends:
        _parents.append(_backends)
    _backends = {}


os.register_at_fork(after_in_child=_forget)
