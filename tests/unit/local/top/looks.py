"""Looks at pools that never were, with the fields of a real status document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.contract.scoreboard import LATENCY_BOUNDS
from corepod.local.top.figures import Look
from corepod.local.top.model import Model, Seen, update

if TYPE_CHECKING:
    from collections.abc import Sequence

WALL = 1_000_000.0
BUCKETS = len(LATENCY_BOUNDS) + 1


def slot(number: int, **changed: Any) -> dict[str, Any]:
    return {
        "slot": number,
        "worker": number + 1,
        "core": number,
        "pid": 4194304 - number,
        "state": "ready",
        "ready": True,
        "being_replaced": False,
        "why": "",
        "restarts": 0,
        "last_exit": None,
        "ready_at": WALL - 4000,
        "requests": 0,
        "in_flight": 0,
        "busy": 0.0,
        "cpu_seconds": 0.0,
        "rss_bytes": 90 << 20,
        "status": [0] * 6,
        "latency": [0] * BUCKETS,
        **changed,
    }


def status(slots: Sequence[dict[str, Any]], **changed: Any) -> dict[str, Any]:
    return {
        "name": "shop",
        "version": "1.0",
        "pid": 7,
        "state": "ready",
        "started_at": WALL - 7400,
        "app": "main:app",
        "binds": ["127.0.0.1:8000"],
        "admin": "127.0.0.1:9000",
        "reloading": False,
        "reloads": {"asked": 0, "ended": 0, "failure": ""},
        "leader": None,
        "last_event": 0,
        "accept_queue": {"length": 0, "limit": 2048},
        "throttled_seconds": 0.0,
        "slots": list(slots),
        **changed,
    }


def latency(*counts: int) -> list[int]:
    """The first buckets' counts; the others are empty."""
    return [*counts, *[0] * (BUCKETS - len(counts))]


def event(number: int, kind: str = "ready", message: str = "ready", level: str = "info", **who: Any) -> dict[str, Any]:
    return {"number": number, "time": WALL, "kind": kind, "level": level, "message": message, **who}


def watched(
    before: Sequence[dict[str, Any]],
    now: Sequence[dict[str, Any]],
    events: Sequence[dict[str, Any]] = (),
    **changed: Any,
) -> Model:
    """A pool that has been looked at twice, a second apart, the last time at 101."""
    model = update(Model("shop"), Seen(Look(100.0, status(before)), []))
    return update(model, Seen(Look(101.0, status(now, **changed)), list(events)))
