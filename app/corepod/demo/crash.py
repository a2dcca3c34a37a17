"""Faults on purpose, for trying recovery. They exist only where COREPOD_DEMO_CRASH=1 is set."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any, NoReturn

from starlette.exceptions import HTTPException

from corepod.demo.answer import Json
from corepod.demo.query import choice, number
from corepod.demo.who import who

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

ENV_CRASH = "COREPOD_DEMO_CRASH"
FOR_EVER = 86_400.0  # seconds
CHUNK = 16  # MB
_kept: list[bytearray] = []


async def crash(request: Request) -> Json:
    """/crash?mode=…: the worker dies or hangs, and in the loop, so that every request in flight is lost with it."""
    if os.environ.get(ENV_CRASH) != "1":
        raise HTTPException(404, f"/crash is switched off; start the pool with {ENV_CRASH}=1 to use it")
    result = MODES[choice(request, "mode", tuple(MODES))](request)
    return Json({**who(), "survived": result})


def _exit(request: Request) -> NoReturn:
    os._exit(number(request, "code", 1, 0, 255))


def _signal(request: Request) -> str:
    names = {name: member for name, member in signal.Signals.__members__.items() if name.startswith("SIG")}
    signum = names[choice(request, "signal", tuple(names), "SIGKILL")]
    os.kill(os.getpid(), signum)
    return signum.name


def _exception(request: Request) -> NoReturn:
    raise RuntimeError("raised by /crash: the request fails, the worker goes on")


def _oom(request: Request) -> str:
    most = number(request, "mb", 1024, 1, 1_000_000)
    for _ in range(0, most, CHUNK):
        # Filled with ones: the kernel would not allocate pages of zeros.
        _kept.append(bytearray(b"\1") * (CHUNK << 20))
    return f"{len(_kept) * CHUNK} MB allocated and kept"


def _hang(request: Request) -> str:
    """The loop is blocked and uses no CPU, as in a deadlock of two threads."""
    seconds = number(request, "seconds", FOR_EVER, 0.0, FOR_EVER)
    threading.Event().wait(seconds)
    return f"hung {seconds:g} s"


def _block(request: Request) -> str:
    """The loop is blocked by computing, and uses its core."""
    seconds = number(request, "seconds", FOR_EVER, 0.0, FOR_EVER)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass
    return f"computed {seconds:g} s"


MODES: dict[str, Callable[[Request], Any]] = {
    "exit": _exit,
    "signal": _signal,
    "exception": _exception,
    "oom": _oom,
    "hang": _hang,
    "block": _block,
}
