"""Its children end in the fork itself, as extensions do that can't be forked; HANG=1: they hang there."""

from __future__ import annotations

import os
import time

from ok import app


def after():
    if os.environ.get("HANG"):
        time.sleep(600)
    os._exit(13)


os.register_at_fork(after_in_child=after)

__all__ = ["app"]
