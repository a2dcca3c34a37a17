"""A worker as a process: what it inherits, who it is, and how it ends."""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import faulthandler
import os
import signal
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod import claims
from corepod.contract import ENV_CORE, ENV_RESTARTS, ENV_SLOT, ENV_WORKER

if TYPE_CHECKING:
    import socket
    from typing import NoReturn

    from corepod.worker.board import Board
    from corepod.worker.control import Control

PR_SET_PDEATHSIG = 1


@dataclass
class Birth:
    """What a worker is made of."""

    control: Control
    settings: dict[str, Any]
    board: Board
    listeners: list[socket.socket]
    app: Any


@dataclass(frozen=True)
class Identity:
    """Who the worker is; it learns it when it gets its slot."""

    slot: int
    worker: int
    core: int | None
    restarts: int

    def as_dict(self) -> dict[str, Any]:
        return {
            "slot": self.slot,
            "worker": self.worker,
            "core": self.core,
            "restarts": self.restarts,
            "pid": os.getpid(),
        }


def prepare(control: Control, stacks_fd: int) -> None:
    """What every process of ours needs after exec or fork, before the application gets a say."""
    # Without it, workers of a supervisor that was killed would go on holding the port.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.set_inheritable(stacks_fd, False)
    # In C and without the interpreter's help: it has to work in a loop that is blocked for ever.
    faulthandler.register(signal.SIGQUIT, file=stacks_fd, all_threads=True, chain=False)
    faulthandler.enable(file=stacks_fd)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    _reseed()


def _reseed() -> None:
    # random, ssl, uuid and secrets see to it themselves; numpy's old global generator would repeat in each worker.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def identify(message: dict[str, Any]) -> tuple[Identity, str]:
    """Take the place the supervisor has chosen: environment and core. Returns why pinning wasn't possible, if so."""
    me = Identity(message["slot"], message["worker"], message["core"], message["restarts"])
    os.environ[ENV_SLOT] = str(me.slot)
    os.environ[ENV_WORKER] = str(me.worker)
    os.environ[ENV_CORE] = "" if me.core is None else str(me.core)
    os.environ[ENV_RESTARTS] = str(me.restarts)
    set_name("corepod-worker")
    return me, claims.pin(me.core) if me.core is not None else ""


def set_name(name: str) -> None:
    """Show in ps what this process is (15 characters)."""
    try:
        with open("/proc/self/comm", "w") as comm:
            comm.write(name)
    except OSError:
        pass


def become_worker(birth: Birth, *, warm: bool, live: bool) -> NoReturn:
    """Serve until told to stop, then end this process: nothing of the template's own stack may run in it."""
    from corepod.worker.life import live_and_serve

    code = 1
    try:
        with asyncio.Runner(debug=birth.settings["debug"], loop_factory=_loop_factory(birth.settings)) as runner:
            code = runner.run(live_and_serve(birth, warm=warm, live=live))
    except (KeyboardInterrupt, asyncio.CancelledError):
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 0 if error.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    _end(code)


def _end(code: int) -> NoReturn:
    # What an interpreter does at its end, for the sake of the application's atexit functions and buffers.
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(code)


def _loop_factory(settings: dict[str, Any]) -> Any:
    if settings["loop"] == "uvloop":
        import uvloop

        return uvloop.new_event_loop
    return None
