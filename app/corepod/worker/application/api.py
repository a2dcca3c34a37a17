"""What the application may tell the pool: `corepod.set_ready`, and what it may ask: `corepod.this_worker`."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from corepod.contract.messages import Readiness

if TYPE_CHECKING:
    from corepod.worker.control import Control
    from corepod.worker.process import Identity

_control: Control | None = None
_identity: Identity | None = None
_words: dict[str, str] = {}  # who says "not ready", and why
_lock = threading.Lock()  # threads speak too; what is sent last has to be what holds


def become(identity: Identity, control: Control) -> None:
    """This process is a worker now."""
    global _control, _identity
    with _lock:
        _control, _identity = control, identity
        if _words:
            _report()


def set_ready(ready: bool, why: str = "") -> None:
    """The application's own word on readiness."""
    _say("application", "" if ready else why or "not ready")


def report_path(why: str) -> None:
    """The last answer of `ready_path`: empty is ready."""
    _say("path", why)


def this_worker() -> dict[str, Any] | None:
    """Who this worker is, or None outside a pool."""
    return _identity.as_dict() if _identity is not None else None


def _say(who: str, why: str) -> None:
    with _lock:
        if _words.get(who, "") == why:
            return
        if why:
            _words[who] = why
        else:
            del _words[who]
        _report()


def _report() -> None:
    if _control is not None:
        _control.send(Readiness(not _words, "; ".join(_words.values())[:500]))
