"""Its application has another name, and the usual names stand for something else."""

from __future__ import annotations

import ok as app
from ok import app as server

application = None
_hidden = server


def make_app():
    return server


def apply(settings):
    return settings


__all__ = ["app", "application", "apply", "make_app", "server"]
