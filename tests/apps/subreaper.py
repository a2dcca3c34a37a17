"""At import it becomes the process that orphans are handed to, so its forks never become the supervisor's children."""

from __future__ import annotations

import ctypes

from ok import app  # noqa: F401

PR_SET_CHILD_SUBREAPER = 36
ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
