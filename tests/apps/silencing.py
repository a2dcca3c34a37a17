"""Silences logging as a whole, at WHEN (import or lifespan) and as HOW says; /fail and /task raise."""

from __future__ import annotations

import asyncio
import gc
import logging.config
import os


def silence():
    if os.environ["HOW"] == "disable":
        logging.disable(logging.CRITICAL)
    else:
        logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": []}})


if os.environ["WHEN"] == "import":
    silence()


async def failing_task():
    raise ValueError("raised in a task")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if os.environ["WHEN"] == "lifespan":
            silence()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    if scope["path"] == "/fail":
        raise ValueError("raised in a request")
    if scope["path"] == "/task":
        task = asyncio.ensure_future(failing_task())
        await asyncio.sleep(0.01)
        del task
        gc.collect()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})
