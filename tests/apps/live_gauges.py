"""ok.py with a live gauge of prometheus_client's multiprocess mode: how many workers there are, by their own word."""

from __future__ import annotations

import ok
from prometheus_client import CollectorRegistry, Counter, Gauge, multiprocess

ALIVE = Gauge("alive", "workers", multiprocess_mode="livesum")
ASKED = Counter("asked", "questions")


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        ALIVE.set(1)
    await ok.app(scope, receive, send)


def alive(query, request):
    """The sum of the gauge, and the counter."""
    ASKED.inc()
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)
    return [registry.get_sample_value("alive"), registry.get_sample_value("asked_total")]


ok.ROUTES["/alive"] = alive
