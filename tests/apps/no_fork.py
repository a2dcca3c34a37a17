"""Forks are refused while the file named by REFUSE_WHILE exists, as by a limit of processes that is used up (a real one
needs a user who isn't root)."""

from __future__ import annotations

import errno
import os

from ok import app

fork = os.fork


def refused():
    if os.path.exists(os.environ["REFUSE_WHILE"]):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()


os.fork = refused

__all__ = ["app"]
