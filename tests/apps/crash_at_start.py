"""Ends its process in the lifespan: always, or while the file named by CRASH_WHILE exists."""

from __future__ import annotations

import os

import ok


async def app(scope, receive, send):
    if scope["type"] == "lifespan" and os.path.exists(os.environ.get("CRASH_WHILE", "/")):
        os._exit(int(os.environ.get("CRASH_CODE", 3)))
    await ok.app(scope, receive, send)
