"""Faults of a worker, wherever it runs, and of a pool on this machine."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

from corepod.hit.exchange import NOBODY, OK, TIMED_OUT, Client, Responder
from corepod.local.client import Client as Owner
from corepod.local.client import Refused, Unreachable

from loadtest.chaos.action import CannotInjectError, Fault, action
from loadtest.chaos.pool import PATIENCE, Pool

if TYPE_CHECKING:
    from loadtest.chaos.pool import Target

TRIES = 20
OOM_MEGABYTES = 128  # what a worker allocates before it is killed, where there is no memory limit


@action
def sigkill(pool: Target) -> Fault:
    """The worker is killed at once, whatever it was doing."""
    return _signal(pool, signal.SIGKILL)


@action
def sigstop(pool: Target) -> Fault:
    """The worker is stopped and keeps its connections until the supervisor notices and kills it."""
    return _signal(pool, signal.SIGSTOP, lasts=pool.lasts)


@action
def exit_(pool: Target) -> Fault:
    """The application ends its own process."""
    client, victim = _connected(pool)
    fault = Fault(pool.replaced(victim), victim)
    _crash(client, "mode=exit")
    return fault


@action
def oom(pool: Target) -> Fault:
    """The worker allocates memory up to its limit and is killed; without a limit, after OOM_MEGABYTES."""
    client, victim = _connected(pool)
    if pool.limited:
        fault = Fault(pool.replaced(victim), victim)
        _crash(client, "mode=oom&mb=1000000")
    else:
        _crash(client, f"mode=oom&mb={OOM_MEGABYTES}")
        fault = Fault(pool.replaced(victim), victim)
        pool.send(victim, signal.SIGKILL)
    return fault


@action
def block(pool: Target) -> Fault:
    """The event loop computes for some seconds and then continues."""
    client, victim = _connected(pool)
    ended: list[float] = []

    def ask() -> None:
        if client.get(f"/crash?mode=block&seconds={pool.lasts:g}").outcome == OK:
            ended.append(time.time())

    fault = Fault(lambda: ended[0] if ended else None, victim, lasts=pool.lasts, deadly=False)
    threading.Thread(target=ask, daemon=True).start()
    return fault


@action
def hang(pool: Target) -> Fault:
    """The event loop blocks without using CPU until the supervisor notices and kills the worker."""
    client, victim = _connected(pool)
    fault = Fault(pool.replaced(victim), victim, lasts=pool.lasts)
    threading.Thread(target=lambda: client.get("/crash?mode=hang"), daemon=True).start()
    return fault


@action
def reload(target: Target) -> Fault:
    """The pool is reloaded slot by slot; no request may be lost."""
    pool = _pool(target)
    before = pool.status() or {}
    pids = {slot["pid"] for slot in before.get("slots", ())}

    def back() -> float | None:
        slots = (status := pool.status() or {}).get("slots", ())
        new = bool(slots) and not status["reloading"] and not pids & {slot["pid"] for slot in slots}
        return time.time() if new and all(slot["state"] == "ready" for slot in slots) else None

    fault = Fault(back, deadly=False)
    pool.send(Responder(pid=pool.supervisor), signal.SIGHUP)
    return fault


@action
def recycle(target: Target) -> Fault:
    """A worker makes way for a new one, as one does that has served for long; no request may be lost."""
    pool = _pool(target)
    victim = pool.pick()
    fault = Fault(pool.replaced(victim), victim, deadly=False)
    try:
        Owner(str((pool.status() or {}).get("control", "none"))).post(f"/restart?slot={victim.slot}")
    except (Refused, Unreachable) as error:
        raise CannotInjectError(f"the pool doesn't replace the worker: {error}") from error
    return fault


@action
def kill_supervisor(target: Target) -> Fault:
    """The supervisor and its workers are killed; Kubernetes, systemd or `make loadtest` starts the pool again."""
    pool = _pool(target)
    old = pool.supervisor

    def back() -> float | None:
        status = pool.status()
        return time.time() if status and status["pid"] != old and status["state"] == "ready" else None

    fault = Fault(back, outage=True)
    pool.send(Responder(pid=old), signal.SIGKILL)
    return fault


def _signal(pool: Target, signum: signal.Signals, lasts: float = 0.0) -> Fault:
    victim = pool.pick()
    fault = Fault(pool.replaced(victim), victim, lasts=lasts)
    pool.send(victim, signum)
    return fault


def _pool(target: Target) -> Pool:
    """Raises CannotInjectError."""
    if not isinstance(target, Pool):
        raise CannotInjectError("this action needs the admin port of a pool on this machine")
    return target


def _connected(pool: Target) -> tuple[Client, Responder]:
    """A connection to a worker, and that worker. Raises CannotInjectError."""
    client = Client(pool.url, kept=True, timeout=max(PATIENCE, 3 * pool.lasts))
    for _ in range(TRIES):
        answer = client.get("/whoami")
        if answer.outcome == OK and answer.worker != NOBODY:
            return client, answer.worker
        if answer.outcome == TIMED_OUT:
            break
        time.sleep(0.05)  # a pod that another fault has just replaced may not be reached yet
    raise CannotInjectError(f"the server doesn't answer: {answer.outcome} {answer.detail}")


def _crash(client: Client, mode: str) -> None:
    answer = client.get(f"/crash?{mode}")
    if answer.status == 404:
        raise CannotInjectError("the application refuses to crash; start it with COREPOD_DEMO_CRASH=1")
