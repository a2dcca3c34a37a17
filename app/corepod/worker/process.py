"""A worker as a process: what it inherits, how it is set up, and the slot that it occupies."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from corepod.contract.env import ENV_CORE, ENV_RESTARTS, ENV_SLOT, ENV_WORKER
from corepod.cpu import pinning
from corepod.worker import title
from corepod.worker.application.api import Worker

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Iterator

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
    app: Any  # None in a template that holds only the libraries
    tls: ssl.SSLContext | None
    files: list[int]  # descriptors whose place in the file a fork must not share


_stacks_fds: list[int] = []


def prepare_process(control: Control, stacks_fd: int) -> None:
    """Set up a process after exec or fork, before any code of the application runs in it."""
    die_with_supervisor()
    end_without_supervisor(control)
    lead_group()
    os.set_inheritable(stacks_fd, False)
    if _stacks_fds:
        os.close(_stacks_fds.pop())  # the template's, inherited by the fork
    _stacks_fds.append(stacks_fd)
    _write_stacks_at_quit()
    faulthandler.enable(file=stacks_fd)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(line_buffering=True)
    _reseed()


@contextmanager
def stacks_of(child: int) -> Iterator[None]:
    """Meanwhile QUIT makes this child write its stacks, not this process, which only waits for it."""
    faulthandler.unregister(signal.SIGQUIT)
    signal.signal(signal.SIGQUIT, lambda signum, frame: os.kill(child, signum))
    try:
        yield
    finally:
        signal.signal(signal.SIGQUIT, signal.SIG_DFL)  # what a child of the application gets back
        _write_stacks_at_quit()


def _write_stacks_at_quit() -> None:
    # In C, without the interpreter's help: it has to work in a loop that is blocked for ever.
    faulthandler.register(signal.SIGQUIT, file=_stacks_fds[-1], all_threads=True, chain=False)


def stacks_fd() -> int:
    """Where this process writes its stacks. Raises LookupError where it has no such place."""
    return _stacks_fds[-1]


def stop_writing_stacks() -> None:
    """Undo what `prepare_process` has done for the stacks of this process."""
    faulthandler.unregister(signal.SIGQUIT)
    faulthandler.disable()
    while _stacks_fds:
        os.close(_stacks_fds.pop())


def lead_group() -> None:
    """Have a process group of its own. The supervisor ends it with this process, and so what the application has
    started, should this process be killed or crash."""
    if os.getpgrp() != os.getpid():
        try:
            os.setpgid(0, 0)
        except OSError:
            pass  # forbidden by a sandbox; the supervisor ends no group that workers share


def die_with_supervisor() -> None:
    """Be killed when the supervisor dies, for the port would stay taken otherwise. A change of user undoes it."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_without_supervisor(control: Control) -> None:
    """End now, where the supervisor was dead before its death could be asked for: an import that hangs would never read
    that the control socket is closed."""
    if control.is_cut:
        os._exit(1)


def die_with_parent(parent: int) -> None:
    """Be killed when the process that has forked this one dies. It may be dead already: then end now."""
    die_with_supervisor()  # the kernel knows only the parent, whoever that is
    if os.getppid() != parent:
        os._exit(1)


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
