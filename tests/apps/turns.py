"""A worker whose end lasts until a file is there, and which writes down when it has ended."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

GO, ENDS = Path(os.environ["TURNS_GO"]), os.environ["TURNS_ENDS"]


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    yield
    while not GO.exists():
        await asyncio.sleep(0.05)
    with open(ENDS, "a") as ends:
        ends.write(f"{os.getpid()} {time.time()}\n")


async def pid(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(os.getpid()))


app = Starlette(routes=[Route("/", pid)], lifespan=lifespan)
