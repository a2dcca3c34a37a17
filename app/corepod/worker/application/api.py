"""The public functions of `corepod`, as they work in a worker: `set_ready` and `this_worker`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from corepod.contract.messages import Readiness

if TYPE_CHECKING:
    from corepod.worker.control import Control
    from corepod.worker.process import Identity

_control: Control | None = None
_identity: Identity | None = None
_reasons: dict[str, str] = {}  # for not being ready, by who gives them
_lock = threading.Lock()  # threads call these functions, too, and the last message has to be the true one


def join_pool(identity: Identity, control: Control) -> None:
    """This process is a worker now."""
    global _control, _identity
    with _lock:
        _control, _identity = control, identity
        if _reasons:
            _report()


def set_ready(ready: bool, why: str = "") -> None:
    """Whether the application says that it is ready; `corepod.set_ready` documents it."""
    _set_reason("application", "" if ready else why or "not ready")


def report_ready_path(why: str) -> None:
    """Why the application isn't ready by its last answer to `ready_path`, empty where it is."""
    _set_reason("path", why)


def this_worker() -> dict[str, Any] | None:
    """Who this worker is, or None outside a pool."""
    return _identity.as_dict() if _identity is not None else None


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
