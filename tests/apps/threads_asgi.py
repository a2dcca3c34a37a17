"""Starlette whose functions run in threads: /forever, /sleep?s=; and beside them /pid, /wait?s= in the loop, ways to
leave it, and a middleware that runs the endpoints in tasks of their own."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route

TASKS = set()


def answer():
    return PlainTextResponse(str(os.getpid()))


def forever(request):
    threading.Event().wait()


def sleep(request):
    time.sleep(float(request.query_params["s"]))
    return answer()


async def pid(request):
    return answer()


async def wait(request):
    await asyncio.sleep(float(request.query_params["s"]))
    return answer()


async def leave(request):
    sys.exit(int(request.query_params["code"]))


def leave_thread(request):
    sys.exit(int(request.query_params["code"]))


async def leave_task(request):
    async def task():
        sys.exit(int(request.query_params["code"]))

    TASKS.add(asyncio.create_task(task()))
    return answer()


async def leave_callback(request):
    asyncio.get_running_loop().call_soon(sys.exit, int(request.query_params["code"]))
    return answer()


async def interrupt(request):
    async def task():
        raise KeyboardInterrupt

    TASKS.add(asyncio.create_task(task()))
    return answer()


async def hidden(request):
    """A thread in the default executor that never ends."""
    TASKS.add(asyncio.create_task(asyncio.to_thread(threading.Event().wait)))
    return answer()


async def hang(request):
    """As Quart calls a function that isn't asynchronous."""
    await asyncio.to_thread(threading.Event().wait)


async def pass_on(request, call_next):
    return await call_next(request)


ENDPOINTS = (forever, sleep, pid, wait, leave, leave_thread, leave_task, leave_callback, interrupt, hidden, hang)
routes = [Route(f"/{endpoint.__name__}", endpoint) for endpoint in ENDPOINTS]
app = Starlette(routes=routes)
behind_middleware = Starlette(routes=routes, middleware=[Middleware(BaseHTTPMiddleware, dispatch=pass_on)])
