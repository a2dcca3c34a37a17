"""Starts a thread while it is imported: such a process may not be forked."""

from __future__ import annotations

import threading

from ok import app

threading.Thread(target=threading.Event().wait, name="metrics-flusher", daemon=True).start()

__all__ = ["app"]
