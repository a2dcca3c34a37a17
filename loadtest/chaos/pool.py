"""Targets on this machine: a pool with an admin port, or any server whose responses carry the pid of their process."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Protocol

from corepod.hit.exchange import OK, Client, Responder

from loadtest.chaos.action import CannotInjectError

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

PATIENCE = 3.0  # seconds for one response to these requests


class Target(Protocol):
    """What every action on a worker needs.

    `lasts`: seconds that a fault with a duration lasts. `workers`: how many there are, 0 if unknown.
    `look`: seconds between two checks whether the pool has recovered. `limited`: there is a memory limit.
    """

    url: str
    lasts: float
    workers: int
    look: float
    limited: bool

    def pick(self) -> Responder: ...
    def send(self, victim: Responder, signum: signal.Signals) -> None: ...
    def replaced(self, victim: Responder) -> Callable[[], float | None]: ...


class Local:
    """Processes of this machine."""

    look = 0.01
    limited = False

    def send(self, victim: Responder, signum: signal.Signals) -> None:
        """Raises CannotInjectError."""
        assert victim.pid is not None
        try:
            os.kill(victim.pid, signum)
        except ProcessLookupError:
            raise CannotInjectError(f"process {victim.pid} has already exited") from None
        except PermissionError:
            raise CannotInjectError(f"process {victim.pid} belongs to another user") from None


class Pool(Local):
    """A pool. `lasts`: seconds that a fault with a duration (block, sigstop, hang) lasts; its `stuck_timeout`."""

    def __init__(self, url: str, admin: str, lasts: float) -> None:
        self.url, self.lasts = url, lasts
        self._admin = Client(admin, timeout=PATIENCE)
        self._hit_at: dict[int, float] = {}
        self.workers = len((self.status() or {}).get("slots", ()))

    def status(self) -> dict[str, Any] | None:
        """Its status document; None while it doesn't answer."""
        answer = self._admin.get("/status")
        return answer.json() or None if answer.outcome == OK else None

    @property
    def supervisor(self) -> int:
        """Its pid. Raises CannotInjectError."""
        status = self.status()
        if not status:
            raise CannotInjectError("the pool's admin port doesn't answer")
        return int(status["pid"])

    def pick(self) -> Responder:
        """The ready worker whose slot has gone longest without a fault. Raises CannotInjectError."""
        ready = [slot for slot in (self.status() or {}).get("slots", ()) if slot["state"] == "ready"]
        if not ready:
            raise CannotInjectError("no worker is ready")
        slot = min(ready, key=lambda slot: self._hit_at.get(slot["slot"], 0.0))
        self._hit_at[slot["slot"]] = time.time()
        return Responder(slot=slot["slot"], core=slot["core"], pid=slot["pid"])

    def replaced(self, victim: Responder) -> Callable[[], float | None]:
        """A function that returns when the next process in its slot became ready, by the supervisor's clock."""

        def back() -> float | None:
            for slot in (self.status() or {}).get("slots", ()):
                if slot["slot"] == victim.slot and slot["state"] == "ready" and slot["pid"] != victim.pid:
                    return float(slot["ready_at"])
            return None

        return back


class Signed(Local):
    """A server without a status document: its responses name the process that sent them."""

    def __init__(self, url: str, lasts: float) -> None:
        self.url, self.lasts, self.workers = url, lasts, 0
        self._known: set[int] = set()

    def pick(self) -> Responder:
        """A worker that answers. Raises CannotInjectError."""
        for _ in range(20):
            answer = Client(self.url, timeout=PATIENCE).get("/whoami")
            if answer.outcome == OK and answer.worker.pid is not None:
                self._known.add(answer.worker.pid)
        if not self._known or answer.worker.pid is None:
            raise CannotInjectError("the server doesn't answer")
        return answer.worker

    def replaced(self, victim: Responder) -> Callable[[], float | None]:
        """A function that returns when a process that was not there before has answered."""

        def back() -> float | None:
            answer = Client(self.url, timeout=PATIENCE).get("/whoami")
            new = answer.outcome == OK and answer.worker.pid not in (None, *self._known)
            return time.time() if new else None

        return back
