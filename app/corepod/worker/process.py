"""A worker as a process: what it inherits, how it is set up, and the slot that it occupies."""

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
from corepod.worker import title
from corepod.worker.application.api import Worker

if TYPE_CHECKING:
    import socket

    from corepod.contract.messages import Activate
    from corepod.worker.control import Control
    from corepod.worker.scoreboard import ScoreboardRecord
    from corepod.worker.settings import WorkerSettings

PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15
_libc = ctypes.CDLL(None)


@dataclass
class Inheritance:
    """What a worker gets from the process that it was forked from, or that it is itself where nothing is forked."""

    control: Control
    settings: WorkerSettings
    record: ScoreboardRecord
    listeners: list[socket.socket]
    app: Any
    files: list[int]  # descriptors whose place in the file a fork must not share


_stacks_fds: list[int] = []


def prepare_process(stacks_fd: int) -> None:
    """Set up a process after exec or fork, before any code of the application runs in it."""
    die_with_supervisor()
    os.set_inheritable(stacks_fd, False)
    # It writes the stacks in C, without the interpreter's help: it has to work in a loop that is blocked for ever.
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
    """Be killed when the supervisor dies, for the port would stay taken otherwise. A change of user undoes it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _reseed() -> None:
    # random, ssl, uuid and secrets reseed themselves after a fork. numpy's global generator doesn't: without this every
    # worker would draw the same numbers.
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def occupy_slot(message: Activate) -> tuple[Worker, str]:
    """Become the worker of the slot that the supervisor has chosen: environment, name and core.

    The phrase beside the worker says why it can't be pinned to its core, empty where it is.
    """
    me = Worker(message.slot, message.worker, message.core, message.restarts, os.getpid())
    os.environ[ENV_SLOT] = str(me.slot)
    os.environ[ENV_WORKER] = str(me.worker)
    os.environ[ENV_CORE] = "" if me.core is None else str(me.core)
    os.environ[ENV_RESTARTS] = str(me.restarts)
    set_name("corepod-worker")
    title.show(f"worker {me.worker} slot {me.slot}", "" if me.core is None else f"core {me.core}")
    return me, pinning.pin(me.core) if me.core is not None else ""


def set_name(name: str) -> None:
    """The name that ps shows for this process: at most 15 characters."""
    _libc.prctl(PR_SET_NAME, name.encode())
