"""What the template's warm-up requests are for: `/fill` fills a cache that is nowhere else filled. Everything else a
warm-up request might do wrong has a path, too. LIFESPAN_LOG, where set, gets a line at every start of the lifespan."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
import threading
import time

import corepod

ASKED: list[dict[str, object]] = []  # every request, but for those of `/`
CACHE: dict[str, int] = {}
KEPT: list[object] = []


async def _fill():
    CACHE["filled by"] = os.getpid()


async def _fail():
    raise ValueError("no database")


async def _unavailable():
    return 503


async def _leave():
    sys.exit(3)


async def _sleep():
    await asyncio.sleep(1000)


async def _block():
    time.sleep(1000)


async def _stubborn():
    """Doesn't end when it is cancelled."""
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass


async def _in_thread():
    await asyncio.to_thread(_note_thread)


def _note_thread():
    CACHE["thread"] = threading.get_native_id()


async def _start_thread():
    threading.Thread(target=threading.Event().wait, name="metrics-flusher", daemon=True).start()


async def _open_socket():
    KEPT.append(socket.socket(type=socket.SOCK_DGRAM))


async def _task():
    """Goes on when the response is complete, and is no part of the request."""
    KEPT.append(asyncio.ensure_future(_sleep()))


async def _leave_in_task():
    await asyncio.wait([asyncio.ensure_future(_leave())])
    await _sleep()


async def _hang_in_thread():
    await asyncio.to_thread(threading.Event().wait)


PATHS = {
    "/fill": _fill,
    "/fail": _fail,
    "/unavailable": _unavailable,
    "/leave": _leave,
    "/sleep": _sleep,
    "/block": _block,
    "/stubborn": _stubborn,
    "/in-thread": _in_thread,
    "/task": _task,
    "/leave-in-task": _leave_in_task,
    "/open-socket": _open_socket,
    "/start-thread": _start_thread,
    "/hang-in-thread": _hang_in_thread,
}


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await _lifespan(receive, send)
        return
    status, path = 200, scope["path"]
    if path == "/":
        body = json.dumps({"pid": os.getpid(), "asked": ASKED, "cache": CACHE}).encode()
    else:
        worker = corepod.this_worker()
        ASKED.append(
            {
                "pid": os.getpid(),
                "worker": worker and worker.worker,
                "target": f"{path}?{scope['query_string'].decode()}",
                "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
                "client": scope["client"],
                "scheme": scope["scheme"],
                "state": dict(scope["state"]),
            }
        )
        status = await PATHS[path]() or 200
        body = b"{}"
    await send({"type": "http.response.start", "status": status, "headers": []})
    await send({"type": "http.response.body", "body": body})


async def _lifespan(receive, send):
    await receive()
    if log := os.environ.get("LIFESPAN_LOG"):
        with open(log, "a") as file:
            file.write(f"start {os.getpid()}\n")
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
