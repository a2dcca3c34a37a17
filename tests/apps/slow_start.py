"""Blocks without using CPU while it is imported and while it is started, for the seconds that SLOW says."""

import os
import time

import ok

SECONDS = float(os.environ.get("SLOW", 0))
time.sleep(SECONDS)


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        time.sleep(SECONDS)
    await ok.app(scope, receive, send)
