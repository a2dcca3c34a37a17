"""What can go wrong with a worker, wherever it runs, and with a pool on this machine."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from corepod.hit.exchange import NOBODY, OK, Client, Worker

from loadtest.chaos.action import NothingToStrikeError, Strike, action
from loadtest.chaos.pool import PATIENCE, Pool

if TYPE_CHECKING:
    from loadtest.chaos.pool import Target

TAKEN = 128  # MB that a worker takes before it is ended for it


@action
def sigkill(pool: Target) -> Strike:
    """The worker is gone at once, whatever it was doing."""
    return _signal(pool, signal.SIGKILL)


@action
def sigstop(pool: Target) -> Strike:
    """The worker stands still with all it has, until somebody notices and ends it."""
    return _signal(pool, signal.SIGSTOP, lasts=pool.lasts)


@action
def exit_(pool: Target) -> Strike:
    """The application ends its own process."""
    client, victim = _connected(pool)
    strike = Strike(pool.replaced(victim), victim)
    _crash(client, "mode=exit")
    return strike


@action
def oom(pool: Target) -> Strike:
    """The worker takes more memory than it may and is killed for it; where there is no limit, after TAKEN megabytes."""
    client, victim = _connected(pool)
    if pool.limited:
        strike = Strike(pool.replaced(victim), victim)
        _crash(client, "mode=oom&mb=1000000")
    else:
        _crash(client, f"mode=oom&mb={TAKEN}")
        strike = Strike(pool.replaced(victim), victim)
        pool.send(victim, signal.SIGKILL)
    return strike


@action
def block(pool: Target) -> Strike:
    """The event loop computes for some seconds; then it goes on."""
    client, victim = _connected(pool)
    ended: list[float] = []

    def ask() -> None:
        if client.get(f"/crash?mode=block&seconds={pool.lasts:g}").outcome == OK:
            ended.append(time.time())

    strike = Strike(lambda: ended[0] if ended else None, victim, lasts=pool.lasts, deadly=False)
    threading.Thread(target=ask, daemon=True).start()
    return strike


@action
def hang(pool: Target) -> Strike:
    """The event loop waits for ever, using no CPU, until somebody notices and ends the worker."""
    client, victim = _connected(pool)
    strike = Strike(pool.replaced(victim), victim, lasts=pool.lasts)
    threading.Thread(target=lambda: client.get("/crash?mode=hang"), daemon=True).start()
    return strike


@action
def reload(target: Target) -> Strike:
    """The pool changes to new code, slot by slot; nothing may be lost."""
    pool = _pool(target)
    before = pool.status() or {}
    pids = {slot["pid"] for slot in before.get("slots", ())}

    def back() -> float | None:
        slots = (status := pool.status() or {}).get("slots", ())
        new = bool(slots) and not status["reloading"] and not pids & {slot["pid"] for slot in slots}
        return time.time() if new and all(slot["state"] == "ready" for slot in slots) else None

    strike = Strike(back, deadly=False)
    pool.send(Worker(pid=pool.supervisor), signal.SIGHUP)
    return strike


@action
def kill_supervisor(target: Target) -> Strike:
    """The supervisor and all below it are gone; who runs it (Kubernetes, systemd, `make loadtest`) starts it again."""
    pool = _pool(target)
    old = pool.supervisor

    def back() -> float | None:
        status = pool.status()
        return time.time() if status and status["pid"] != old and status["state"] == "ready" else None

    strike = Strike(back, outage=True)
    pool.send(Worker(pid=old), signal.SIGKILL)
    return strike


def _signal(pool: Target, signum: signal.Signals, lasts: float = 0.0) -> Strike:
    victim = pool.pick()
    strike = Strike(pool.replaced(victim), victim, lasts=lasts)
    pool.send(victim, signum)
    return strike


def _pool(target: Target) -> Pool:
    """Raises NothingToStrikeError."""
    if not isinstance(target, Pool):
        raise NothingToStrikeError("this needs the admin port of a pool on this machine")
    return target


def _connected(pool: Target) -> tuple[Client, Worker]:
    """A connection that leads to a worker, and which one that is. Raises NothingToStrikeError."""
    client = Client(pool.url, kept=True, timeout=max(PATIENCE, 3 * pool.lasts))
    answer = client.get("/whoami")
    if answer.outcome != OK or answer.worker == NOBODY:
        raise NothingToStrikeError(f"nobody answers: {answer.outcome} {answer.detail}")
    return client, answer.worker


def _crash(client: Client, mode: str) -> None:
    answer = client.get(f"/crash?{mode}")
    if answer.status == 404:
        raise NothingToStrikeError("start the application with COREPOD_DEMO_CRASH=1 to let it crash")
