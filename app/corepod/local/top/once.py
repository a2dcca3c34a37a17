"""The view as a document, for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corepod.local.top.figures import figures

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from corepod.local.top.figures import Between, Figures, Look, Row

POOL = ("name", "state", "version", "pid", "started_at", "app", "binds", "admin", "accept_queue", "reloads")
SLOT = ("slot", "core", "worker", "pid", "state", "ready", "why", "in_flight", "restarts", "last_exit", "rss_bytes")


def document(before: Look, now: Look, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Times are pairs of seconds: more than the first, at most the second, which is None where there is no bound."""
    shown = figures(before, now)
    return {
        **{key: now.status[key] for key in POOL},
        "seconds": round(now.at - before.at, 3),
        **_rates(shown),
        "in_flight": shown.in_flight,
        "restarts": shown.restarts,
        "rss_bytes": shown.memory,
        "throttled": shown.throttled,
        "slots": [
            {**{key: row.slot[key] for key in SLOT}, **_rates(row), "use": row.own, "others": row.others}
            for row in shown.rows
        ],
        "events": list(events),
    }


def _rates(of: Figures | Row) -> dict[str, Any]:
    return {
        "requests_per_second": of.rate,
        "failed_per_second": of.failed,
        "p50_seconds": _pair(of.p50),
        "p99_seconds": _pair(of.p99),
    }


def _pair(time: Between | None) -> list[float | None] | None:
    return None if time is None else [time.least, time.most]
