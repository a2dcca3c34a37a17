"""What can be struck on this machine: a pool, by its admin port, or any server whose answers are signed with a pid."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Protocol

from corepod.hit.exchange import OK, Client, Worker

from loadtest.chaos.action import NothingToStrikeError

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

PATIENCE = 3.0  # seconds for one answer to us


class Target(Protocol):
    """What every action on a worker needs.

    `lasts`: seconds of a fault that goes on. `workers`: how many there are, 0 where nobody knows.
    `look`: seconds between two looks at whether a strike is over. `limited`: there is a limit of memory.
    """

    url: str
    lasts: float
    workers: int
    look: float
    limited: bool

    def pick(self) -> Worker: ...
    def send(self, victim: Worker, signum: signal.Signals) -> None: ...
    def replaced(self, victim: Worker) -> Callable[[], float | None]: ...


class Local:
    """Processes of this machine."""

    look = 0.01
    limited = False

    def send(self, victim: Worker, signum: signal.Signals) -> None:
        """Raises NothingToStrikeError."""
        assert victim.pid is not None
        try:
            os.kill(victim.pid, signum)
        except ProcessLookupError:
            raise NothingToStrikeError(f"process {victim.pid} is gone already") from None
        except PermissionError:
            raise NothingToStrikeError(f"process {victim.pid} belongs to somebody else") from None


class Pool(Local):
    """A pool. `lasts`: seconds that faults which go on (block, stop, hang) are given, its `stuck_timeout`."""

    def __init__(self, url: str, admin: str, lasts: float) -> None:
        self.url, self.lasts = url, lasts
        self._admin = Client(admin, timeout=PATIENCE)
        self._struck: dict[int, float] = {}
        self.workers = len((self.status() or {}).get("slots", ()))

    def status(self) -> dict[str, Any] | None:
        """What it says of itself; None while it doesn't answer."""
        answer = self._admin.get("/status")
        return answer.json() or None if answer.outcome == OK else None

    @property
    def supervisor(self) -> int:
        """Its pid. Raises NothingToStrikeError."""
        status = self.status()
        if not status:
            raise NothingToStrikeError("the pool's admin port doesn't answer")
        return int(status["pid"])

    def pick(self) -> Worker:
        """The ready worker whose slot was struck longest ago. Raises NothingToStrikeError."""
        ready = [slot for slot in (self.status() or {}).get("slots", ()) if slot["state"] == "ready"]
        if not ready:
            raise NothingToStrikeError("no worker is ready")
        slot = min(ready, key=lambda slot: self._struck.get(slot["slot"], 0.0))
        self._struck[slot["slot"]] = time.time()
        return Worker(slot=slot["slot"], core=slot["core"], pid=slot["pid"])

    def replaced(self, victim: Worker) -> Callable[[], float | None]:
        """When the next process in its slot was ready, by the supervisor's own clock."""

        def back() -> float | None:
            for slot in (self.status() or {}).get("slots", ()):
                if slot["slot"] == victim.slot and slot["state"] == "ready" and slot["pid"] != victim.pid:
                    return float(slot["ready_at"])
            return None

        return back


class Signed(Local):
    """A server without a status: its answers say which process gave them."""

    def __init__(self, url: str, lasts: float) -> None:
        self.url, self.lasts, self.workers = url, lasts, 0
        self._known: set[int] = set()

    def pick(self) -> Worker:
        """One that answers. Raises NothingToStrikeError."""
        for _ in range(20):
            answer = Client(self.url, timeout=PATIENCE).get("/whoami")
            if answer.outcome == OK and answer.worker.pid is not None:
                self._known.add(answer.worker.pid)
        if not self._known or answer.worker.pid is None:
            raise NothingToStrikeError("nobody answers")
        return answer.worker

    def replaced(self, victim: Worker) -> Callable[[], float | None]:
        """When a process answered that was not there before."""

        def back() -> float | None:
            answer = Client(self.url, timeout=PATIENCE).get("/whoami")
            new = answer.outcome == OK and answer.worker.pid not in (None, *self._known)
            return time.time() if new else None

        return back
