"""Raises in its lifespan; starlette turns that into startup.failed with the whole traceback."""

from __future__ import annotations

import contextlib

from starlette.applications import Starlette


@contextlib.asynccontextmanager
async def lifespan(app):
    raise ConnectionRefusedError("no database at 10.0.0.9")
    yield


app = Starlette(lifespan=lifespan)
