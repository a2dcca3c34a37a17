"""The public functions of `corepod`, as they work in a worker: `set_ready` and `this_worker`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NamedTuple

from corepod.contract.messages import BROKEN, Readiness

if TYPE_CHECKING:
    from corepod.worker.control import Control


class Worker(NamedTuple):
    """A worker of the pool, as `corepod.this_worker()` returns it."""

    slot: int  # its place in the pool, from 0; the worker that replaces it has the same
    worker: int  # its number: the pool counts the workers it has started from 1
    core: int | None  # the core that it is pinned to, None where it isn't pinned
    restarts: int  # deaths in this slot before this worker
    pid: int


_control: Control | None = None
_worker: Worker | None = None
_reasons: dict[str, str] = {}  # for not being ready, by who gives them
_lock = threading.Lock()  # threads call these functions, too, and the last message has to be the true one


def join_pool(worker: Worker, control: Control) -> None:
    """This process is a worker now."""
    global _control, _worker
    with _lock:
        _control, _worker = control, worker
        if _reasons:
            _report()


def leave_pool() -> None:
    """This process is a child of a worker, and none itself. It has just been forked: the lock may be held for ever."""
    global _control, _worker, _lock
    _control, _worker, _lock = None, None, threading.Lock()


def set_ready(ready: bool, why: str = "") -> None:
    """Whether the application says that it is ready; `corepod.set_ready` documents it."""
    _set_reason("application", "" if ready else why or "not ready")


def report_ready_path(why: str) -> None:
    """Why the application isn't ready by its last answer to `ready_path`, empty where it is."""
    _set_reason("path", why)


def report_shared_state(why: str) -> None:
    """Why the application isn't ready for want of shared state (`shared_required`), empty where it is."""
    _set_reason("shared", why)


def report_broken(summary: str) -> None:
    """There is no application, and a page with its fault is served in its place."""
    _set_reason("broken", BROKEN + summary)


def report_leaving() -> None:
    """The application has asked the process to exit: no more requests should be sent to it."""
    _set_reason("exit", "the worker stops, as the application has asked for")


def this_worker() -> Worker | None:
    """The worker that this process is; `corepod.this_worker` documents it."""
    return _worker


def _set_reason(who: str, why: str) -> None:
    with _lock:
        if _reasons.get(who, "") == why:
            return
        if why:
            _reasons[who] = why
        else:
            del _reasons[who]
        _report()


def _report() -> None:
    if _control is not None:
        _control.send(Readiness(not _reasons, "; ".join(_reasons.values())[:500]))
