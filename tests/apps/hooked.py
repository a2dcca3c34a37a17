"""Functions for hooks: each writes what it was told into the file that TOLD names. `/` is answered by ok.py."""

from __future__ import annotations

import asyncio
import os

from ok import app as app


def told(event):
    with open(os.environ["TOLD"], "a") as file:
        file.write(f"{event}\n")


async def told_later(event):
    await asyncio.sleep(0)
    told(event)


def fails(event):
    raise ValueError("no chat today")
