"""A worker as a process: what it inherits, who it is, and how it ends."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod.contract.env import ENV_CORE, ENV_RESTARTS, ENV_SLOT, ENV_WORKER
from corepod.cpu import pinning

if TYPE_CHECKING:
    import socket

    from corepod.contract.messages import Activate
    from corepod.worker.board import Board
    from corepod.worker.control import Control

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


@dataclass
class Birth:
    """What a worker is made of."""

    control: Control
    settings: dict[str, Any]
    board: Board
    listeners: list[socket.socket]
    app: Any
    files: list[int]  # descriptors whose place in the file a fork must not share


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


_stacks_fds: list[int] = []


def prepare(stacks_fd: int) -> None:
    """What every process of ours needs after exec or fork, before the application gets a say."""
    die_with_supervisor()
    os.set_inheritable(stacks_fd, False)
    # In C and without the interpreter's help: it has to work in a loop that is blocked for ever.
    faulthandler.register(signal.SIGQUIT, file=stacks_fd, all_threads=True, chain=False)
    faulthandler.enable(file=stacks_fd)
    if _stacks_fds:
        os.close(_stacks_fds.pop())  # the template's, inherited by the fork
    _stacks_fds.append(stacks_fd)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    _reseed()


def die_with_supervisor() -> None:
    """Without it, workers of a supervisor that was killed would go on holding the port. A change of user undoes it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reseed() -> None:
    # random, ssl, uuid and secrets see to it themselves; numpy's old global generator would repeat in each worker.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def identify(message: Activate) -> tuple[Identity, str]:
    """Take the place the supervisor has chosen: environment and core. Returns why pinning wasn't possible, if so."""
    me = Identity(message.slot, message.worker, message.core, message.restarts)
    os.environ[ENV_SLOT] = str(me.slot)
    os.environ[ENV_WORKER] = str(me.worker)
    os.environ[ENV_CORE] = "" if me.core is None else str(me.core)
    os.environ[ENV_RESTARTS] = str(me.restarts)
    set_name("corepod-worker")
    return me, pinning.pin(me.core) if me.core is not None else ""


def set_name(name: str) -> None:
    """Show in ps what this process is (15 characters)."""
    _libc.prctl(PR_SET_NAME, name.encode())
