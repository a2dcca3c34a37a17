"""Answers on any path after `s` seconds: what is in flight there has names, numbers and tokens in it."""

from __future__ import annotations

import asyncio
import os
from urllib.parse import parse_qsl

from ok import answer


async def app(scope, receive, send):
    assert scope["type"] == "http"
    query = dict(parse_qsl(scope["query_string"].decode()))
    await asyncio.sleep(float(query.get("s", 0)))
    await answer(send, os.getpid())
