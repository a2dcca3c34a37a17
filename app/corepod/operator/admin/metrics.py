"""The metrics of the operator."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.contract.exposition import Exposition
from corepod.operator.admin.status import why_not_ready

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from corepod.operator.admin.status import Parts
    from corepod.operator.api.reflector import Reflector
    from corepod.operator.sizing.decision import Decision

KIND = ("kind",)
WORKLOAD = ("kind", "namespace", "name")
# Name, type, help, labels. The reference in the documentation is generated from it.
METRICS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    (
        "corepod_operator_build_info",
        "gauge",
        "Always 1; the labels are the versions of corepod and of Python.",
        ("version", "python"),
    ),
    ("corepod_operator_acts", "gauge", "1 if this operator acts, 0 if another one holds the Lease.", ()),
    ("corepod_operator_ready", "gauge", "1 if /readyz answers 200.", ()),
    ("corepod_operator_silence_seconds", "gauge", "Seconds since the API server last confirmed the facts.", ()),
    ("corepod_operator_objects", "gauge", "Number of known objects by kind.", KIND),
    ("corepod_operator_watch_failing", "gauge", "1 if the watch of the kind fails.", KIND),
    ("corepod_operator_objects_not_understood", "gauge", "Number of malformed objects by kind.", KIND),
    ("corepod_operator_api_requests_total", "counter", "Requests to the API server.", ()),
    ("corepod_operator_decisions_total", "counter", "Rounds of decisions, each about all workloads.", ()),
    ("corepod_operator_decision_seconds_total", "counter", "Seconds spent deciding and writing.", ()),
    ("corepod_operator_writes_total", "counter", "Successful writes of a number of pods.", ()),
    ("corepod_operator_writes_failed_total", "counter", "Failed writes of a number of pods.", ()),
    ("corepod_operator_events_total", "counter", "Events written.", ()),
    ("corepod_operator_events_lost_total", "counter", "Events that could not be written.", ()),
    ("corepod_operator_pods_read_total", "counter", "Successful reads of a pod's metrics.", ()),
    (
        "corepod_operator_pods_read_failed_total",
        "counter",
        "Failed reads of a pod's metrics: no connection (unreachable), not complete in time (timeout), more than a "
        "limit (too_large), or not the metrics of a supervisor (not_corepod).",
        ("failure",),
    ),
    ("corepod_operator_datagrams_total", "counter", "Datagrams received.", ()),
    ("corepod_operator_datagrams_ignored_total", "counter", "Those from an address of no known pod.", ()),
    (
        "corepod_operator_datagrams_dropped_total",
        "counter",
        "Datagrams dropped by the kernel, because more arrived than the operator reads.",
        (),
    ),
    ("corepod_operator_restarts_published_total", "counter", "Writes of restart counts to pods.", ()),
    ("corepod_operator_workload_replicas", "gauge", "Present replicas, or the HPA's present maxReplicas.", WORKLOAD),
    ("corepod_operator_workload_wanted", "gauge", "What that number should be by the last decision.", WORKLOAD),
    (
        "corepod_operator_workload_outcome",
        "gauge",
        "Always 1; the label outcome says what came of the last decision.",
        (*WORKLOAD, "outcome"),
    ),
    ("corepod_operator_cpu_seconds_total", "counter", "CPU time used by the operator, in seconds.", ()),
    ("corepod_operator_resident_memory_bytes", "gauge", "Resident memory of the operator, in bytes.", ()),
)


def render(parts: Parts) -> str:
    """The metrics, in Prometheus' text format."""
    written = Exposition(METRICS)
    for name, value, *labels in _samples(parts):
        written.put(f"corepod_operator_{name}", value, *labels)
    return written.text()


def _samples(parts: Parts) -> Iterator[tuple[Any, ...]]:
    """Name without the prefix, value, values of the labels."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield "build_info", 1, __version__, python
    yield "acts", parts.is_leader
    yield "ready", not why_not_ready(parts)
    yield "silence_seconds", parts.informers.silence(time.monotonic()) if parts.informers.complete else None
    yield from _by_kind("objects", parts, lambda reflector: len(reflector.store))
    yield from _by_kind("watch_failing", parts, lambda reflector: bool(reflector.store.error))
    yield from _by_kind("objects_not_understood", parts, lambda reflector: len(reflector.store.malformed))
    yield "api_requests_total", parts.transport.calls
    yield "decisions_total", parts.loop.rounds
    yield "decision_seconds_total", parts.loop.seconds
    yield "writes_total", parts.applier.written
    yield "writes_failed_total", parts.applier.failed
    yield "events_total", parts.events.written
    yield "events_lost_total", parts.events.dropped
    if parts.publisher is not None:
        yield "pods_read_total", parts.publisher.read
        for failure, times in parts.publisher.failed.items():
            yield "pods_read_failed_total", times, failure
        yield "datagrams_total", parts.publisher.datagrams
        yield "datagrams_ignored_total", parts.publisher.strangers
        yield "datagrams_dropped_total", parts.receiver.dropped if parts.receiver else None
        yield "restarts_published_total", parts.publisher.published
    yield from _workloads(parts.loop.last.decisions if parts.loop.last else ())
    yield "cpu_seconds_total", time.process_time()
    yield "resident_memory_bytes", _resident_memory()


def _by_kind(name: str, parts: Parts, value: Callable[[Reflector[Any]], float]) -> Iterator[tuple[str, float, str]]:
    for reflector in parts.informers.reflectors:
        yield name, value(reflector), reflector.kind.plural


def _workloads(decisions: Iterable[Decision]) -> Iterator[tuple[Any, ...]]:
    for decision in decisions:
        yield "workload_replicas", decision.current, *decision.key
        yield "workload_wanted", decision.number, *decision.key
        yield "workload_outcome", 1, *decision.key, decision.outcome


def _resident_memory() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
