"""Sends and takes messages as it is told to, and writes down what has come, in a file for each worker."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import corepod
from corepod import ipc
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request

FOLDER = Path(os.environ["MESSAGES"])
HELD = asyncio.Event()
HELD.set()
TASKS: set[asyncio.Task[Any]] = set()


async def take(subscription: Any, name: str) -> None:
    """A line for each message: sender, data, lost."""
    file: int | None = None
    async for message in subscription:
        if not HELD.is_set():
            while len(subscription._waiting) < 10:
                await asyncio.sleep(0.01)
            (FOLDER / "piled").touch()
            await HELD.wait()
        if file is None:
            me = corepod.this_worker()
            assert me is not None
            path = FOLDER / f"{name}-{me.slot}-{me.worker}"
            file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        os.write(file, json.dumps([*message.sender, message.data, message.lost]).encode() + b"\n")
        if name == "slow":
            await asyncio.sleep(0.05)


async def answer(subscription: Any) -> None:
    async for message in subscription:
        if message.data in ("hold", "release"):
            (HELD.clear if message.data == "hold" else HELD.set)()
        if message.data != "silence":
            await message.reply([message.data, os.getpid()])


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(take(ipc.subscribe(topic), topic)) for topic in ("all", "one", "slow")]
    tasks.append(asyncio.create_task(answer(ipc.subscribe("question"))))
    yield
    for task in tasks:
        task.cancel()


async def broadcast(request: Request) -> JSONResponse:
    first, count = int(request.query_params["first"]), int(request.query_params["count"])
    await ipc.joined()
    missed = [await ipc.broadcast("all", number, 30.0) for number in range(first, first + count)]
    return JSONResponse(sorted({slot for one in missed for slot in one}))


async def send(request: Request) -> JSONResponse:
    slot, first, count = (int(request.query_params[name]) for name in ("slot", "first", "count"))
    topic, within = request.query_params.get("topic", "one"), float(request.query_params.get("timeout", "5"))
    sent = 0
    try:
        for number in range(first, first + count):
            await ipc.send(slot, topic, number, within)
            sent += 1
    except (ipc.Full, ipc.NoSuchSlot) as error:
        return JSONResponse({"sent": sent, "error": type(error).__name__, "slot": error.slot})
    return JSONResponse({"sent": sent})


async def start(request: Request) -> JSONResponse:
    """Send numbers to the other slot until told to stop."""
    me = corepod.this_worker()
    assert me is not None
    slot = 1 - me.slot

    async def on() -> None:
        number = 0
        while (FOLDER / "go").exists():
            await ipc.send(slot, "one", number, 120.0)
            number += 1
            await asyncio.sleep(0.0002)
        (FOLDER / "sent.part").write_text(str(number))
        (FOLDER / "sent.part").rename(FOLDER / "sent")

    task = asyncio.create_task(on())
    TASKS.add(task)
    return JSONResponse(slot)


async def ask(request: Request) -> JSONResponse:
    slot, what = int(request.query_params["slot"]), request.query_params.get("what", "question")
    within = 2.0 if what == "silence" else 30.0
    try:
        found = await ipc.request(slot, request.query_params.get("topic", "question"), what, within)
    except (TimeoutError, ipc.NobodyListens, ipc.NoSuchSlot) as error:
        return JSONResponse({"error": type(error).__name__})
    return JSONResponse({"answer": found})


async def fork(request: Request) -> JSONResponse:
    """What a child has of the worker's descriptors, and what it can send."""
    await ipc.joined()
    await ipc.broadcast("all", -1)
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            asyncio.events._set_running_loop(None)
            sockets = [fd for fd in os.listdir("/proc/self/fd") if _is_pair(int(fd))]
            try:
                asyncio.run(ipc.broadcast("all", -2))
                said = "sent"
            except RuntimeError as error:
                said = str(error)
            os.write(write, json.dumps([len(sockets), said]).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as pipe:
        return JSONResponse([len([fd for fd in os.listdir("/proc/self/fd") if _is_pair(int(fd))]), *json.load(pipe)])


def _is_pair(fd: int) -> bool:
    """One end of an inbox."""
    try:
        with socket.socket(fileno=os.dup(fd)) as sock:
            return sock.family == socket.AF_UNIX and sock.type == socket.SOCK_SEQPACKET
    except OSError:
        return False


ROUTES = (broadcast, send, start, ask, fork)
app = Starlette(routes=[Route(f"/{route.__name__}", route) for route in ROUTES], lifespan=lifespan)
