"""What the operator says about itself: whether it is well, and a status document."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from corepod import __version__
from corepod.operator.explain import rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.act import Actor
    from corepod.operator.decision import Decision
    from corepod.operator.events import Events
    from corepod.operator.known import Known
    from corepod.operator.leader import Elector
    from corepod.operator.loop import Loop
    from corepod.operator.publish import Publisher
    from corepod.operator.transport import Transport
    from corepod.operator.view import View

MANY = 5000  # rows of nodes that are shown without being asked for by name
STUCK = 120.0  # seconds: every part of the operator does something more often, or hangs


@dataclass(frozen=True, slots=True)
class Parts:
    """What there is to report on. `quiet` is the longest that all is well without a word from the API server."""

    transport: Transport
    known: Known
    loop: Loop
    actor: Actor
    events: Events
    elector: Elector | None
    publisher: Publisher | None
    quiet: float

    @property
    def acts(self) -> bool:
        return self.elector is None or self.elector.holds


def alive(parts: Parts) -> str:
    """Why only a restart helps, empty while all is well. Never because of the API server: that one it wouldn't help."""
    now = time.monotonic()
    if now - parts.loop.alive_at > STUCK:
        return f"the loop has been stuck for {now - parts.loop.alive_at:.0f} s"
    if now - parts.known.turned > STUCK + parts.quiet:
        return f"a watch has been stuck for {now - parts.known.turned:.0f} s"
    return ""


def ready(parts: Parts) -> str:
    """Why it can't do its work at the moment, empty where it can."""
    if not parts.known.complete:
        return "; ".join(f"{name}: {error or 'not read yet'}" for name, synced, error in _kinds(parts) if not synced)
    silence = parts.known.silence(time.monotonic())
    if silence > parts.quiet:
        return f"nothing has been heard from the API server for {silence:.0f} s"
    return "the last decision failed; its traceback is in the log" if parts.loop.error else ""


def _kinds(parts: Parts) -> Iterator[tuple[str, bool, str]]:
    for watch in parts.known.watches:
        yield watch.kind.plural, watch.cache.synced, watch.cache.error


def status(parts: Parts, only: str = "") -> dict[str, Any]:
    """The status document; `only` is a workload (namespace/name) whose nodes are to be shown, however many."""
    now, loop, view = time.monotonic(), parts.loop, parts.loop.view
    elector = parts.elector
    few = view is not None and len(view.nodes) * len(loop.decisions) <= MANY
    return {
        "name": "corepod-operator",
        "version": __version__,
        "pid": os.getpid(),
        "acts": parts.acts,
        "lease": None if elector is None else {"identity": elector.identity, "holder": elector.holder},
        "ready": ready(parts) or "yes",
        "api": parts.transport.host,
        "silence": round(parts.known.silence(now), 1) if parts.known.complete else None,
        "kinds": {
            watch.kind.plural: {
                "objects": len(watch.cache),
                "synced": watch.cache.synced,
                "error": watch.cache.error,
                "not_understood": {"/".join(filter(None, key)): why for key, why in watch.cache.unread.copy().items()},
            }
            for watch in parts.known.watches
        },
        "decided": None if loop.decided_at is None else round(now - loop.decided_at, 1),
        "workloads": [
            workload(view, decision, few or only == f"{decision.key.namespace}/{decision.key.name}", parts.actor)
            for decision in loop.decisions
            if view is not None
        ],
    }


def workload(view: View, decision: Decision, nodes: bool, actor: Actor | None = None) -> dict[str, Any]:
    """One decision, with its nodes where they are asked for."""
    failures = actor.failures.get(decision.key) if actor else None
    found: dict[str, Any] = {
        "kind": decision.key.kind,
        "namespace": decision.key.namespace,
        "name": decision.key.name,
        "outcome": str(decision.outcome),
        "current": decision.current,
        "number": decision.number,
        "message": decision.message,
        "notes": list(decision.notes),
        "error": failures.words if failures else "",
    }
    if nodes and decision.room is not None:
        found["nodes"] = [{**asdict(row), "fits": row.fits} for row in rows(view, decision.room)]
    return found


def dump(found: dict[str, Any]) -> str:
    return json.dumps(found, indent=2) + "\n"
