"""The metrics of the pool. Every address may read them, so nothing here names a request."""

from __future__ import annotations

import sys

from corepod.contract.exposition import Exposition
from corepod.contract.scoreboard import LATENCY_BOUNDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

CODES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # in the order of the scoreboard's STATUS words
POOL_STATES = ("starting", "ready", "draining", "failed")
SLOT_STATES = ("starting", "ready", "busy", "stuck", "draining", "backoff", "failed")
# Written as 0 before the first such death, because increase() misses the first step of a series that begins with 1.
COMMON_REASONS = ("exit code 0", "exit code 1", "signal SIGKILL", "signal SIGSEGV", "oom", "stuck", "busy")

REPLACED = ("asked", "requests", "age", "memory", "schedule", "timeout")  # reasons, likewise written as 0

# Name, type, help, labels. The reference in the documentation is generated from it.
METRICS = (
    (
        "corepod_build_info",
        "gauge",
        "Always 1; the labels are the versions of corepod and of the supervisor's Python.",
        ("version", "python"),
    ),
    (
        "corepod_pool_info",
        "gauge",
        "Always 1; the labels are the pool's name, how workers are started (fork or spawn) and the configured standby.",
        ("pool", "mode", "standby"),
    ),
    ("corepod_pool_state", "gauge", "1 for the present state of the pool, 0 for the others.", ("state",)),
    ("corepod_ready", "gauge", "1 if /readyz answers 200.", ()),
    ("corepod_start_time_seconds", "gauge", "Start of the supervisor, in Unix time.", ()),
    ("corepod_slots", "gauge", "Number of slots of the pool.", ()),
    ("corepod_slots_min", "gauge", "Least number of slots: see the setting workers.", ()),
    ("corepod_slots_max", "gauge", "Greatest number of slots.", ()),
    ("corepod_usable_cores", "gauge", "Number of cores that the pool may use.", ()),
    ("corepod_standby_ready", "gauge", "1 if a standby is ready to become the next worker.", ()),
    ("corepod_standbys", "gauge", "Number of standbys that are ready to become workers.", ()),
    ("corepod_template_ready", "gauge", "1 if a template is ready to fork workers.", ()),
    ("corepod_accept_queue_length", "gauge", "Connections waiting to be accepted by a worker.", ()),
    ("corepod_accept_queue_limit", "gauge", "Maximum number of connections that can wait to be accepted.", ()),
    ("corepod_log_lines_dropped_total", "counter", "Log lines dropped because the reader of the log was too slow.", ()),
    (
        "corepod_hooks_total",
        "counter",
        "Events for which hooks were to run, by the hook's setting and the outcome: done, failed, or dropped because "
        "too many waited.",
        ("hook", "outcome"),
    ),
    ("corepod_cpu_throttled_seconds_total", "counter", "Seconds for which the CPU limit throttled the container.", ()),
    ("corepod_supervisor_cpu_seconds_total", "counter", "CPU time used by the supervisor, in seconds.", ()),
    ("corepod_supervisor_resident_memory_bytes", "gauge", "Resident memory of the supervisor, in bytes.", ()),
    ("corepod_worker_state", "gauge", "1 for the present state of the slot, 0 for the others.", ("slot", "state")),
    ("corepod_worker_ready", "gauge", "1 if the slot's worker is ready for requests.", ("slot",)),
    (
        "corepod_worker_restarts_total",
        "counter",
        "Deaths of the slot's workers by reason; each is followed by a restart within the crash budget.",
        ("slot", "reason"),
    ),
    (
        "corepod_worker_replaced_total",
        "counter",
        "Workers of the slot that were replaced by a new one because of a limit, or because it was asked for; no "
        "deaths, and no reloads.",
        ("slot", "reason"),
    ),
    ("corepod_worker_start_time_seconds", "gauge", "Start of the slot's worker, in Unix time.", ("slot",)),
    (
        "corepod_worker_pinned",
        "gauge",
        "1 if the slot's worker is pinned to the core in the label, 0 with an empty label if it isn't.",
        ("slot", "core"),
    ),
    ("corepod_worker_cpu_seconds_total", "counter", "CPU time used by the slot's workers, in seconds.", ("slot",)),
    ("corepod_worker_resident_memory_bytes", "gauge", "Resident memory of the slot's worker, in bytes.", ("slot",)),
    (
        "corepod_worker_loop_lag_seconds",
        "gauge",
        "Delay of the last tick of the worker's event loop, in seconds.",
        ("slot",),
    ),
    (
        "corepod_worker_loop_lag_max_seconds",
        "gauge",
        "Largest delay of a tick since the worker started, in seconds.",
        ("slot",),
    ),
    (
        "corepod_requests_total",
        "counter",
        "Finished requests and WebSocket sessions by status class; none means that there was no response.",
        ("slot", "code"),
    ),
    ("corepod_requests_in_flight", "gauge", "Requests that the application is working on.", ("slot",)),
    ("corepod_requests_lost_total", "counter", "Requests lost because their worker died.", ("slot",)),
    (
        "corepod_requests_shed_total",
        "counter",
        "Requests rejected with 503 because of a limit, which is the reason: limit_requests or queue_timeout.",
        ("slot", "reason"),
    ),
    (
        "corepod_requests_queued_seconds_total",
        "counter",
        "Seconds that requests have waited before a worker read them; counted where queue_timeout is set.",
        ("slot",),
    ),
    ("corepod_requests_waiting", "gauge", "Requests that wait for a thread of the worker.", ("slot",)),
    (
        "corepod_request_duration_seconds",
        "histogram",
        "Seconds from passing a request to the application until the end of its response.",
        ("slot",),
    ),
    ("corepod_connections_open", "gauge", "Open connections of the slot's worker.", ("slot",)),
    ("corepod_connections_accepted_total", "counter", "Connections accepted by the slot's workers.", ("slot",)),
    (
        "corepod_connections_passed_on_total",
        "counter",
        "Connections that the slot's workers have accepted and handed over to the slot of their cookie (sticky).",
        ("slot",),
    ),
    ("corepod_received_bytes_total", "counter", "Bytes received by the slot's workers.", ("slot",)),
    ("corepod_sent_bytes_total", "counter", "Bytes sent by the slot's workers.", ("slot",)),
)

# Metrics of a slot that are one entry of its part of the status document.
_SLOT_VALUES = (
    ("corepod_worker_start_time_seconds", "started_at"),
    ("corepod_worker_cpu_seconds_total", "cpu_seconds"),
    ("corepod_worker_resident_memory_bytes", "rss_bytes"),
    ("corepod_worker_loop_lag_seconds", "lag_seconds"),
    ("corepod_worker_loop_lag_max_seconds", "lag_max_seconds"),
    ("corepod_requests_in_flight", "in_flight"),
    ("corepod_requests_lost_total", "lost"),
    ("corepod_requests_queued_seconds_total", "queued_seconds"),
    ("corepod_requests_waiting", "waiting"),
    ("corepod_connections_open", "connections"),
    ("corepod_connections_accepted_total", "accepted"),
    ("corepod_connections_passed_on_total", "passed_on"),
    ("corepod_received_bytes_total", "bytes_in"),
    ("corepod_sent_bytes_total", "bytes_out"),
)


def render(status: dict[str, Any]) -> Iterator[str]:
    """The metrics of a status document, in Prometheus' text format, piece by piece: each one takes about as long as one
    slot does. Values of None are unknown and left out."""
    written, slots = Exposition(METRICS), 0
    _pool(written, status)
    for slot in status["slots"]:
        _slot(written, slot)
        slots += 1
        yield ""  # the samples of a metric stand together, so that none is complete before the last slot
    written.put("corepod_slots", slots)
    yield from written.parts()


def _pool(written: Exposition, status: dict[str, Any]) -> None:
    python = ".".join(str(part) for part in sys.version_info[:3])
    written.put("corepod_build_info", 1, status["version"], python)
    written.put("corepod_pool_info", 1, status["name"], status["mode"], status["standby"]["mode"])
    for state in POOL_STATES:
        written.put("corepod_pool_state", status["state"] == state, state)
    written.put("corepod_ready", status["state"] == "ready")
    written.put("corepod_start_time_seconds", status["started_at"])
    written.put("corepod_slots_min", status["workers"]["least"])
    written.put("corepod_slots_max", status["workers"]["most"])
    written.put("corepod_usable_cores", len(status["cores"]["usable"]))
    written.put("corepod_standby_ready", status["standby"]["ready"])
    written.put("corepod_standbys", status["standby"]["count"])
    written.put("corepod_template_ready", status["template"]["state"] == "ready")
    queue = status["accept_queue"] or {}
    written.put("corepod_accept_queue_length", queue.get("length"))
    written.put("corepod_accept_queue_limit", queue.get("limit"))
    written.put("corepod_log_lines_dropped_total", status["log_lines_dropped"])
    for hook, counts in status["hooks"].items():
        for outcome, count in counts.items():
            written.put("corepod_hooks_total", count, hook, outcome)
    written.put("corepod_cpu_throttled_seconds_total", status["throttled_seconds"])
    written.put("corepod_supervisor_cpu_seconds_total", status["supervisor"]["cpu_seconds"])
    written.put("corepod_supervisor_resident_memory_bytes", status["supervisor"]["rss_bytes"])


def _slot(written: Exposition, slot: dict[str, Any]) -> None:
    number = slot["slot"]
    for name, key in _SLOT_VALUES:
        written.put(name, slot[key], number)
    for state in SLOT_STATES:
        written.put("corepod_worker_state", slot["state"] == state, number, state)
    written.put("corepod_worker_ready", slot["ready"], number)
    core = "" if slot["core"] is None else slot["core"]
    written.put("corepod_worker_pinned", slot["pinned"], number, core)
    for reason in sorted({*COMMON_REASONS, *slot["reasons"]}):
        written.put("corepod_worker_restarts_total", slot["reasons"].get(reason, 0), number, reason)
    for reason in REPLACED:
        written.put("corepod_worker_replaced_total", slot["replaced"].get(reason, 0), number, reason)
    written.put("corepod_requests_shed_total", slot["shed"] - slot["shed_late"], number, "limit_requests")
    written.put("corepod_requests_shed_total", slot["shed_late"], number, "queue_timeout")
    for code, count in zip(CODES, slot["status"], strict=True):
        written.put("corepod_requests_total", count, number, code)
    name = "corepod_request_duration_seconds"
    written.histogram(name, LATENCY_BOUNDS, slot["latency"], slot["latency_sum"], number)
