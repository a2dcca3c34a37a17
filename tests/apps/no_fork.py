"""Two forks are refused as soon as there is a file named by REFUSE_TWICE, which goes with the second one, as by a limit
of processes that is used up for a while (a real one needs a user who isn't root). Counted, because a third one would be
the last that is tried."""

from __future__ import annotations

import errno
import os

from ok import app

fork = os.fork


left = 2


def refused():
    global left
    if left and os.path.exists(os.environ["REFUSE_TWICE"]):
        left -= 1
        if not left:
            os.unlink(os.environ["REFUSE_TWICE"])
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()


os.fork = refused

__all__ = ["app"]
