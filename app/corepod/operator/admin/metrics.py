"""What the operator measures, in Prometheus' text format."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.operator.admin.status import why_not_ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.admin.status import Parts
    from corepod.operator.restarts.publisher import Publisher
    from corepod.operator.sizing.decision import Decision

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Samples = list[tuple[dict[str, str], float]]
# Name (behind corepod_operator_), type, help, and where the samples come from.
METRICS: tuple[tuple[str, str, str, Callable[[Parts], Samples]], ...] = (
    ("build_info", "gauge", "Always 1; the operator's versions are its labels.", lambda p: [(_versions(), 1)]),
    ("acts", "gauge", "1 if this operator acts, 0 if another one holds the Lease.", lambda p: _one(p.is_leader)),
    ("ready", "gauge", "1 if /readyz answers 200.", lambda p: _one(not why_not_ready(p))),
    (
        "silence_seconds",
        "gauge",
        "Time since the API server last confirmed what is known.",
        lambda p: _one(p.informers.silence(time.monotonic())) if p.informers.complete else [],
    ),
    ("objects", "gauge", "Objects that are known, by kind.", lambda p: _by_kind(p, lambda w: len(w.store))),
    ("watch_failing", "gauge", "1 if the kind's watch fails.", lambda p: _by_kind(p, lambda w: bool(w.store.error))),
    (
        "objects_not_understood",
        "gauge",
        "Objects whose form is wrong, by kind.",
        lambda p: _by_kind(p, lambda w: len(w.store.malformed)),
    ),
    ("api_requests_total", "counter", "Requests to the API server.", lambda p: _one(p.transport.calls)),
    ("decisions_total", "counter", "Times that all workloads were decided on.", lambda p: _one(p.loop.rounds)),
    ("decision_seconds_total", "counter", "Time spent on that.", lambda p: _one(p.loop.seconds)),
    ("writes_total", "counter", "Numbers written.", lambda p: _one(p.applier.written)),
    ("writes_failed_total", "counter", "Numbers that could not be written.", lambda p: _one(p.applier.failed)),
    ("events_total", "counter", "Events written.", lambda p: _one(p.events.written)),
    ("events_lost_total", "counter", "Events that could not be written.", lambda p: _one(p.events.dropped)),
    ("pods_read_total", "counter", "Reads of a pod's metrics.", lambda p: _of(p, lambda r: r.read)),
    ("pods_read_failed_total", "counter", "Those that failed.", lambda p: _of(p, lambda r: r.failed)),
    ("datagrams_total", "counter", "Datagrams of pods.", lambda p: _of(p, lambda r: r.datagrams)),
    ("restarts_published_total", "counter", "Writes about restarts.", lambda p: _of(p, lambda r: r.published)),
    ("workload_replicas", "gauge", "The number as it is.", lambda p: _by_workload(p, lambda d: d.current)),
    ("workload_wanted", "gauge", "The number as it should be.", lambda p: _by_workload(p, lambda d: d.number)),
    ("workload_outcome", "gauge", "Always 1; why, as a label.", lambda p: _outcomes(p)),
    ("cpu_seconds_total", "counter", "CPU time of the operator.", lambda p: _one(time.process_time())),
    ("resident_memory_bytes", "gauge", "Its resident memory.", lambda p: _memory()),
)


def render(parts: Parts) -> str:
    """All of them."""
    lines = []
    for name, kind, meaning, samples in METRICS:
        full, found = f"corepod_operator_{name}", samples(parts)
        if found:
            lines.append(f"# HELP {full} {meaning}\n# TYPE {full} {kind}\n")
        for labels, value in found:
            inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
            lines.append(f"{full}{{{inner}}} {value:g}\n" if inner else f"{full} {value:g}\n")
    return "".join(lines)


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _versions() -> dict[str, str]:
    return {"version": __version__, "python": ".".join(map(str, sys.version_info[:3]))}


def _one(value: float) -> Samples:
    return [({}, value)]


def _by_kind(parts: Parts, value: Callable[[Any], float]) -> Samples:
    return [({"kind": reflector.kind.plural}, value(reflector)) for reflector in parts.informers.reflectors]


def _of(parts: Parts, value: Callable[[Publisher], float]) -> Samples:
    return [] if parts.publisher is None else _one(value(parts.publisher))


def _labels(decision: Decision) -> dict[str, str]:
    return decision.key._asdict()


def _by_workload(parts: Parts, value: Callable[[Decision], float]) -> Samples:
    return [(_labels(decision), value(decision)) for decision in parts.loop.decisions]


def _outcomes(parts: Parts) -> Samples:
    return [({**_labels(decision), "outcome": str(decision.outcome)}, 1) for decision in parts.loop.decisions]


def _memory() -> Samples:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return []
    return _one(pages * os.sysconf("SC_PAGE_SIZE"))
