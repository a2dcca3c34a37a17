"""A status document, and a pool status that returns it, for the tests of what is made from them."""

from __future__ import annotations

from typing import Any


def slot(number: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "slot": number,
        "worker": number + 1,
        "core": number,
        "pinned": True,
        "pid": 1000 + number,
        "state": "ready",
        "being_replaced": False,
        "waits_for_turn": False,
        "replacing": "",
        "replaced": {"age": 2},
        "ready": True,
        "why": "",
        "restarts": 3,
        "reasons": {"signal SIGKILL": 2, "exit code 7": 1},
        "started_at": 1700000000.25,
        "ready_at": 1700000000.5,
        "last_exit": "signal SIGKILL",
        "requests": 60,
        "in_flight": 2,
        "lost": 1,
        "shed": 4,
        "shed_late": 1,
        "queued_seconds": 0.25,
        "waiting": 2,
        "busy": 0.42,
        "cpu_seconds": 12.5,
        "rss_bytes": 40 << 20,
        "connections": 5,
        "accepted": 9,
        "passed_on": 3,
        "bytes_in": 1234,
        "bytes_out": 56789,
        "status": [1, 0, 50, 3, 2, 4],
        "latency": [10, 20, 0, 0, 5, 0, 0, 0, 0, 0, 1, 24],
        "latency_sum": 12.25,
        "lag_seconds": 0.001,
        "lag_max_seconds": 0.2,
        **changes,
    }


def document(*slots: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """With these slots, by default two."""
    return {
        "name": "shop",
        "version": "1.2.3",
        "pid": 1,
        "state": "ready",
        "started_at": 1700000000.0,
        "app": "shop.main:app",
        "mode": "fork",
        "cores": {"usable": [0, 1], "limit": "quota of 2 cores"},
        "workers": {"mode": "load", "least": 2, "most": 8},
        "binds": ["127.0.0.1:8000"],
        "admin": "127.0.0.1:9000",
        "standby": {"mode": "armed", "ready": True, "count": 2, "wanted": 3},
        "template": {"pid": 7, "state": "ready"},
        "accept_queue": {"length": 3, "limit": 2048},
        "reloading": False,
        "reloads": {"asked": 0, "ended": 0, "failure": ""},
        "next_recycling_at": None,
        "leader": None,
        "last_event": 3,
        "hooks": {"on_exit": {"done": 2, "failed": 1, "dropped": 0}},
        "log_lines_dropped": 0,
        "supervisor": {"rss_bytes": 13 << 20, "cpu_seconds": 1.5},
        "throttled_seconds": 0.75,
        "slots": list(slots) or [slot(0), slot(1)],
        **changes,
    }


class FakeStatus:
    """Reports what the test wants the pool to report."""

    def __init__(self, *slots: dict[str, Any]) -> None:
        self.answers = {"live": (True, "ok"), "ready": (True, "ok"), "started": (True, "ok")}
        self.content = document(*slots)
        self.asked = 0  # how often the document was made
        self.broken = False
        self.drains = False

    def live(self) -> tuple[bool, str]:
        return self.answers["live"]

    def ready(self) -> tuple[bool, str]:
        return self.answers["ready"]

    def started(self) -> tuple[bool, str]:
        return self.answers["started"]

    def draining(self) -> bool:
        return self.drains

    def document(self) -> dict[str, Any]:
        self.asked += 1
        if self.broken:
            raise RuntimeError("an internal error")
        return {**self.content, "slots": iter(self.content["slots"])}
