"""The worker that answers: its slot and core, and the pod and node it runs in."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import corepod

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_PROCESSOR = 36  # index of field 39 of stat, counted behind the process's name


def who() -> dict[str, Any]:
    """This worker; `core` is where this thread runs at this moment. Outside a pool slot, worker and restarts are None.

    In Kubernetes the demo's manifests set POD_NAME and NODE_NAME through the downward API.
    """
    me = corepod.this_worker()
    return {
        "pid": os.getpid(),
        "slot": me.slot if me else None,
        "worker": me.worker if me else None,
        "core": running_core(),
        "pinned": me is not None and me.core is not None,
        "restarts": me.restarts if me else None,
        "pod": os.environ.get("POD_NAME"),
        "node": os.environ.get("NODE_NAME"),
    }


def running_core() -> int | None:
    """The core that runs the calling thread; None where the kernel doesn't show it."""
    try:
        with open("/proc/thread-self/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[_PROCESSOR])
    except OSError:
        return None


class Measured:
    """A block of work: its duration and the CPU time of the thread that did it, in seconds."""

    def __enter__(self) -> Measured:
        self._started, self._cpu_before = time.perf_counter(), time.thread_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.duration = time.perf_counter() - self._started
        self.cpu = time.thread_time() - self._cpu_before

    def as_dict(self) -> dict[str, float]:
        return {"duration_seconds": round(self.duration, 6), "cpu_seconds": round(self.cpu, 6)}


class Signature:
    """Adds headers that name the worker to every response, so that a load test can count without reading bodies."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def signed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message["headers"] = [*message.get("headers", ()), *_signature()]
            await send(message)

        await self._app(scope, receive, signed)


def _signature() -> list[tuple[bytes, bytes]]:
    worker = corepod.this_worker()
    me: dict[str, int | None] = worker._asdict() if worker else {"pid": os.getpid()}
    return [
        (f"x-corepod-{key}".encode(), str(me[key]).encode())
        for key in ("slot", "worker", "core", "pid")
        if me.get(key) is not None
    ]
