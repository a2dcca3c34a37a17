"""Leaves in its lifespan with what is no Exception; LEAVE names it."""

from __future__ import annotations

import asyncio
import os
import sys


async def app(scope, receive, send):
    assert scope["type"] == "lifespan"
    await receive()
    if os.environ["LEAVE"] == "SystemExit":
        sys.exit("no license")
    raise {"KeyboardInterrupt": KeyboardInterrupt, "CancelledError": asyncio.CancelledError}[os.environ["LEAVE"]]
