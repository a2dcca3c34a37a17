"""One worker of the pool leads: `corepod.leader` and `corepod.wait_until_leader`, as they work in a worker."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
from typing import TYPE_CHECKING

from corepod.contract.env import ENV_SLOT
from corepod.worker.logs import log

if TYPE_CHECKING:
    from corepod.worker.scoreboard import ScoreboardRecord

LOOK = 0.2  # seconds between two looks at whether the leader is gone

_record: ScoreboardRecord | None = None
_leads = False
_draining = False
_told = False  # that it can't lead


def join_pool(record: ScoreboardRecord) -> None:
    """This process is a worker now, and may become the leader."""
    global _record, _told
    _record, _told = record, False


def drain() -> None:
    """This worker is about to end: it keeps a lead that it has, and takes none. In a stop, each worker would otherwise
    begin the leader's work for the moment that it has left."""
    global _draining
    _draining = True


def leave_pool() -> None:
    """This process is a child of a worker. The kernel has kept the lock for the worker, and so has the lead."""
    global _record, _leads, _draining
    _record, _leads, _draining = None, False, False


def leader() -> bool:
    """Whether this process leads; `corepod.leader` documents it."""
    global _leads
    if _record is None:
        return not _belongs_to_pool()
    if _draining and not _leads:
        return False
    try:
        # Also where it leads already: the application may have closed the descriptor of the lock, and nobody is told.
        _leads = _record.lead()
    except OSError as error:
        if error.errno == errno.EBADF:
            return _unable()
        raise RuntimeError(
            f"no worker can lead, for the system refuses a lock on the pool's shared memory: {error.strerror}"
        ) from error
    return _leads


def _unable() -> bool:
    global _leads, _told
    _leads = False
    if not _told:
        _told = True
        log.error("this worker can't lead: the application has closed a descriptor of the pool (os.closerange?)")
    return False


async def wait_until_leader() -> None:
    """Return when this process leads; `corepod.wait_until_leader` documents it."""
    while not leader():  # noqa: ASYNC110  (a process elsewhere ends: nothing in this one tells it)
        await asyncio.sleep(LOOK)


def _belongs_to_pool() -> bool:
    """Whether this process is a worker's child, or will be a worker or hold the application for them."""
    return ENV_SLOT in os.environ or "corepod.worker.load" in sys.modules
