"""Sentry, with a collector nobody runs: /raise reports an error in a thread of its own."""

from __future__ import annotations

import os

import sentry_sdk
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0)


async def index(request):
    return JSONResponse({"pid": os.getpid()})


async def fail(request):
    raise RuntimeError("asked to fail")


app = Starlette(routes=[Route("/", index), Route("/raise", fail)])
