"""The pool in Prometheus' text format 0.0.4. Only numbers, slots and reasons of deaths: every address may read it, so
nothing here names a request."""

from __future__ import annotations

import sys

from corepod.contract.scoreboard import LATENCY_BOUNDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CODES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")  # as the scoreboard's STATUS words
POOL_STATES = ("starting", "ready", "draining", "failed")
SLOT_STATES = ("starting", "ready", "busy", "stuck", "draining", "backoff", "failed")
# Rendered as 0 before they happen: increase() doesn't see a series that begins with 1.
COMMON_REASONS = ("exit code 0", "exit code 1", "signal SIGKILL", "signal SIGSEGV", "oom", "stuck", "busy")

# Name, type, help, labels. What has no row here can't be rendered; the reference of the documentation is made from it.
METRICS = (
    ("corepod_build_info", "gauge", "Always 1; the supervisor's versions are its labels.", ("version", "python")),
    (
        "corepod_pool_info",
        "gauge",
        "Always 1; labels: the pool's name, how workers are started (fork or spawn), which standby is asked for.",
        ("pool", "mode", "standby"),
    ),
    ("corepod_pool_state", "gauge", "1 for the state the pool is in, 0 for the others.", ("state",)),
    ("corepod_ready", "gauge", "1 if /readyz answers 200.", ()),
    ("corepod_start_time_seconds", "gauge", "When the supervisor started, Unix time.", ()),
    ("corepod_slots", "gauge", "Slots of the pool.", ()),
    ("corepod_usable_cores", "gauge", "Cores this pool may use.", ()),
    ("corepod_standby_ready", "gauge", "1 if a standby waits to become the next worker.", ()),
    ("corepod_template_ready", "gauge", "1 if a template has the application loaded and forks workers.", ()),
    ("corepod_accept_queue_length", "gauge", "Connections that wait to be accepted by a worker.", ()),
    ("corepod_accept_queue_limit", "gauge", "Connections that may wait to be accepted.", ()),
    ("corepod_log_lines_dropped_total", "counter", "Lines lost because nobody read the log in time.", ()),
    ("corepod_cpu_throttled_seconds_total", "counter", "Time the CPU limit kept the container from running.", ()),
    ("corepod_supervisor_cpu_seconds_total", "counter", "CPU time of the supervisor.", ()),
    ("corepod_supervisor_resident_memory_bytes", "gauge", "Resident memory of the supervisor.", ()),
    ("corepod_worker_state", "gauge", "1 for the state the slot is in, 0 for the others.", ("slot", "state")),
    ("corepod_worker_ready", "gauge", "1 if the slot's worker is ready for requests.", ("slot",)),
    (
        "corepod_worker_restarts_total",
        "counter",
        "Deaths of the slot's workers by reason; a restart follows each while the crash budget lasts.",
        ("slot", "reason"),
    ),
    ("corepod_worker_start_time_seconds", "gauge", "When the slot's worker started, Unix time.", ("slot",)),
    (
        "corepod_worker_pinned",
        "gauge",
        "1 if the slot's worker is pinned to the core, 0 (and no core) if it isn't.",
        ("slot", "core"),
    ),
    ("corepod_worker_cpu_seconds_total", "counter", "CPU time of the slot's workers.", ("slot",)),
    ("corepod_worker_resident_memory_bytes", "gauge", "Resident memory of the slot's worker.", ("slot",)),
    ("corepod_worker_loop_lag_seconds", "gauge", "How late the last tick of the worker's loop was.", ("slot",)),
    ("corepod_worker_loop_lag_max_seconds", "gauge", "How late the worker's latest tick of all was.", ("slot",)),
    (
        "corepod_requests_total",
        "counter",
        "Requests and WebSocket sessions that ended, by class of status; none: without an answer.",
        ("slot", "code"),
    ),
    ("corepod_requests_in_flight", "gauge", "Requests the application works on.", ("slot",)),
    ("corepod_requests_lost_total", "counter", "Requests that were in flight when their worker died.", ("slot",)),
    ("corepod_requests_shed_total", "counter", "Requests answered 503 because of a limit.", ("slot",)),
    (
        "corepod_request_duration_seconds",
        "histogram",
        "Time from a request's arrival at the application to the end of its answer.",
        ("slot",),
    ),
    ("corepod_connections_open", "gauge", "Connections the slot's worker has open.", ("slot",)),
    ("corepod_connections_accepted_total", "counter", "Connections the slot's workers accepted.", ("slot",)),
    ("corepod_received_bytes_total", "counter", "Bytes the slot's workers received.", ("slot",)),
    ("corepod_sent_bytes_total", "counter", "Bytes the slot's workers sent.", ("slot",)),
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
    ("corepod_requests_shed_total", "shed"),
    ("corepod_connections_open", "connections"),
    ("corepod_connections_accepted_total", "accepted"),
    ("corepod_received_bytes_total", "bytes_in"),
    ("corepod_sent_bytes_total", "bytes_out"),
)
_LABELS = {name: labels for name, _, _, labels in METRICS}
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def render(status: dict[str, Any]) -> str:
    """The text for a status document. A value of None is unknown, and left out."""
    page = _Page()
    _pool(page, status)
    for slot in status["slots"]:
        _slot(page, slot)
    return page.text()


class _Page:
    """Collects samples; the format wants all of a metric together, behind its help and type."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] = {name: [] for name, _, _, _ in METRICS}

    def put(self, name: str, value: float | None, *labels: object) -> None:
        """One sample. Raises KeyError for a name without a row in METRICS, ValueError for labels that don't fit it."""
        lines, names = self._lines[name], _LABELS[name]
        if value is not None:
            lines.append(f"{name}{_braces(names, labels)} {_number(value)}\n")

    def histogram(self, name: str, counts: list[int], total: float, *labels: object) -> None:
        """`counts` as the scoreboard has them, a bucket each; the format wants them added up."""
        lines, names = self._lines[name], _LABELS[name]
        below = 0
        for bound, count in zip((*LATENCY_BOUNDS, "+Inf"), counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_braces((*names, 'le'), (*labels, bound))} {below}\n")
        lines.append(f"{name}_sum{_braces(names, labels)} {_number(total)}\n")
        lines.append(f"{name}_count{_braces(names, labels)} {below}\n")

    def text(self) -> str:
        parts = []
        for name, kind, meaning, _ in METRICS:
            if self._lines[name]:
                parts.append(f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n")
                parts += self._lines[name]
        return "".join(parts)


def _pool(page: _Page, status: dict[str, Any]) -> None:
    python = ".".join(str(part) for part in sys.version_info[:3])
    page.put("corepod_build_info", 1, status["version"], python)
    page.put("corepod_pool_info", 1, status["name"], status["mode"], status["standby"]["mode"])
    for state in POOL_STATES:
        page.put("corepod_pool_state", status["state"] == state, state)
    page.put("corepod_ready", status["state"] == "ready")
    page.put("corepod_start_time_seconds", status["started_at"])
    page.put("corepod_slots", len(status["slots"]))
    page.put("corepod_usable_cores", len(status["cores"]["usable"]))
    page.put("corepod_standby_ready", status["standby"]["ready"])
    page.put("corepod_template_ready", status["template"]["state"] == "ready")
    queue = status["accept_queue"] or {}
    page.put("corepod_accept_queue_length", queue.get("length"))
    page.put("corepod_accept_queue_limit", queue.get("limit"))
    page.put("corepod_log_lines_dropped_total", status["log_lines_dropped"])
    page.put("corepod_cpu_throttled_seconds_total", status["throttled_seconds"])
    page.put("corepod_supervisor_cpu_seconds_total", status["supervisor"]["cpu_seconds"])
    page.put("corepod_supervisor_resident_memory_bytes", status["supervisor"]["rss_bytes"])


def _slot(page: _Page, slot: dict[str, Any]) -> None:
    number = slot["slot"]
    for name, key in _SLOT_VALUES:
        page.put(name, slot[key], number)
    for state in SLOT_STATES:
        page.put("corepod_worker_state", slot["state"] == state, number, state)
    page.put("corepod_worker_ready", slot["ready"], number)
    core = "" if slot["core"] is None else slot["core"]
    page.put("corepod_worker_pinned", slot["pinned"], number, core)
    for reason in sorted({*COMMON_REASONS, *slot["reasons"]}):
        page.put("corepod_worker_restarts_total", slot["reasons"].get(reason, 0), number, reason)
    for code, count in zip(CODES, slot["status"], strict=True):
        page.put("corepod_requests_total", count, number, code)
    page.histogram("corepod_request_duration_seconds", slot["latency"], slot["latency_sum"], number)


def _braces(names: tuple[str, ...], values: tuple[object, ...]) -> str:
    pairs = zip(names, values, strict=True)
    text = ",".join(f'{name}="{str(value).translate(_ESCAPES)}"' for name, value in pairs)
    return f"{{{text}}}" if text else ""


def _number(value: float) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)
