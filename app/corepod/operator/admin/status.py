"""What the operator reports about itself: whether it is alive and ready, and the status document."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.operator.admin.explain import hints, rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.api.events import Events
    from corepod.operator.api.informers import Informers
    from corepod.operator.api.leader import LeaderElector
    from corepod.operator.api.transport import Transport
    from corepod.operator.apply import Applier
    from corepod.operator.loop import ControlLoop, Round
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.restarts.publisher import Publisher
    from corepod.operator.restarts.receiver import DatagramReceiver
    from corepod.operator.sizing.decision import Decision
    from corepod.operator.threads import WatchedThreads

SHOWN_ROWS = 5000  # rows of nodes up to which /status shows the nodes of all workloads
STUCK = 120.0  # seconds without activity after which a part of the operator counts as hanging


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts to report on. `quiet`: seconds without contact to the API server that are still normal."""

    transport: Transport
    informers: Informers
    loop: ControlLoop
    applier: Applier
    events: Events
    elector: LeaderElector | None
    publisher: Publisher | None
    receiver: DatagramReceiver | None
    threads: WatchedThreads
    quiet: float

    @property
    def is_leader(self) -> bool:
        return self.elector is None or self.elector.is_leader


def why_not_alive(parts: Parts) -> str:
    """Why only a restart can help, empty if the operator is alive. An API server that is away is no reason."""
    now = time.monotonic()
    if now - parts.loop.alive_at > STUCK:
        return f"the control loop has been stuck for {now - parts.loop.alive_at:.0f} s"
    if now - parts.informers.active_at > STUCK + parts.quiet:
        return f"a reflector has been stuck for {now - parts.informers.active_at:.0f} s"
    if parts.elector is not None and parts.elector.ended and not parts.elector.stopped:
        return "the leader election has ended, see the traceback in the log"
    return parts.threads.why_not_alive()


def why_not_ready(parts: Parts) -> str:
    """Why the operator can't do its work at the moment, empty if it can."""
    if not parts.informers.complete:
        return "; ".join(f"{name}: {error or 'not read yet'}" for name, synced, error in _kinds(parts) if not synced)
    silence = parts.informers.silence(time.monotonic())
    if silence > parts.quiet:
        return f"no contact to the API server for {silence:.0f} s"
    if parts.elector and (why := parts.elector.why_not_held()):
        return why
    if parts.loop.error:
        return "the last decision failed, see the traceback in the log"
    return parts.threads.why_not_ready()


def _kinds(parts: Parts) -> Iterator[tuple[str, bool, str]]:
    for reflector in parts.informers.reflectors:
        yield reflector.kind.plural, reflector.store.synced, reflector.store.error


def status(parts: Parts, only: str = "") -> dict[str, Any]:
    """The status document. `only` is a workload (namespace/name) whose nodes are shown, however many there are."""
    now, last, elector = time.monotonic(), parts.loop.last, parts.elector
    return {
        "name": "corepod-operator",
        "version": __version__,
        "pid": os.getpid(),
        "acts": parts.is_leader,
        "lease": None if elector is None else {"identity": elector.identity, "holder": elector.holder},
        "ready": why_not_ready(parts) or "yes",
        "api": parts.transport.host,
        "silence": round(parts.informers.silence(now), 1) if parts.informers.complete else None,
        "kinds": {
            reflector.kind.plural: {
                "objects": len(reflector.store),
                "synced": reflector.store.synced,
                "error": reflector.store.error,
                "not_understood": {
                    "/".join(filter(None, key)): why for key, why in reflector.store.malformed.copy().items()
                },
            }
            for reflector in parts.informers.reflectors
        },
        "decided": None if last is None else round(now - last.at, 1),
        "workloads": [] if last is None else _workloads(last, only, parts.applier),
    }


def _workloads(last: Round, only: str, applier: Applier) -> list[dict[str, Any]]:
    few = len(last.snapshot.nodes) * len(last.decisions) <= SHOWN_ROWS
    return [
        workload(last.snapshot, decision, few or only == f"{decision.key.namespace}/{decision.key.name}", applier)
        for decision in last.decisions
    ]


def workload(snapshot: Snapshot, decision: Decision, nodes: bool, applier: Applier | None = None) -> dict[str, Any]:
    """One decision, with its nodes if they are asked for."""
    failures = applier.failures.get(decision.key) if applier else None
    found: dict[str, Any] = {
        "kind": decision.key.kind,
        "namespace": decision.key.namespace,
        "name": decision.key.name,
        "outcome": str(decision.outcome),
        "current": decision.current,
        "number": decision.number,
        "message": decision.message,
        "not_created": decision.not_created,
        "notes": list(decision.notes),
        "error": failures.message if failures else "",
    }
    if nodes and decision.capacity is not None:
        found["hints"] = list(hints(snapshot, decision.capacity))
        found["nodes"] = [{**asdict(row), "fits": row.fits} for row in rows(snapshot, decision.capacity)]
    return found


def dump(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2) + "\n"
