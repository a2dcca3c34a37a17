"""Knows no lifespan and raises, which the protocol takes for just that; serves all the same."""

from __future__ import annotations

import os

from ok import answer


async def app(scope, receive, send):
    assert scope["type"] == "http", scope["type"]
    await answer(send, {"pid": os.getpid()})
