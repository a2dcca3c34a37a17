"""Decides how many pods each workload should have: facts and the time go in, numbers and reasons come out.

There is no client, clock or log in it. All it remembers between two calls are numbers and when they were seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.model.names import DOMAIN
from corepod.operator.sizing import target
from corepod.operator.sizing.capacity import capacities
from corepod.operator.sizing.decision import Decision, Outcome
from corepod.operator.sizing.plausibility import Plausibility
from corepod.operator.sizing.workloads import Histories

if TYPE_CHECKING:
    from collections.abc import Iterator

    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.capacity import Capacity
    from corepod.operator.sizing.workloads import Hold, WorkloadState

WAIT = 60.0  # seconds that a lower target must hold before pods are removed


class Sizing:
    """Decides for all workloads together, because they share the nodes."""

    def __init__(self, wait: float = WAIT) -> None:
        self._plausibility = Plausibility()
        self._histories = Histories(wait)

    def decide(self, snapshot: Snapshot, *, silence: float, now: float) -> list[Decision]:
        """One decision for each sized workload, in the order of their keys.

        `silence`: seconds since the API server last confirmed the facts. `now`: of a monotonic clock. The snapshot
        can't be used again: its free resources are allocated.
        """
        ready = sum(node.ready for node in snapshot.nodes.values())
        implausible = self._plausibility.why_not_plausible(ready=ready, silence=silence, now=now)
        states = self._histories.states(snapshot, now)
        found = capacities(snapshot, filter(None, [state.capacity_request(now) for state in states]))
        return [self._decide(snapshot, state, found.get(state.workload.key), implausible, now) for state in states]

    def wrote(self, decision: Decision, now: float) -> None:
        """Note that the decision's number was written, so that older facts aren't taken for another writer's change."""
        self._histories.wrote(decision.key, decision.number, now)

    def _decide(
        self, snapshot: Snapshot, state: WorkloadState, capacity: Capacity | None, implausible: str, now: float
    ) -> Decision:
        wanted, message = _target(snapshot, state, capacity, now)
        history, hold = state.history, state.hold or _reason_to_hold(snapshot, state, capacity, implausible)
        if hold:
            history.stabilization.keep(state.current, now)
            history.pacing.keep()
            (outcome, message), number = hold, state.current
        else:
            running = capacity.scheduled if capacity and state.removes_pending_first else state.current
            number = history.stabilization.stabilize(wanted, current=state.current, running=running, now=now)
            outcome = Outcome.SIZED if number == wanted else Outcome.STABILIZING
            number = history.pacing.paced(
                number,
                current=state.current,
                basis=(snapshot.nodes_version, state.rules, state.demand, *history.backoff.limits(now)),
                running=capacity.scheduled if capacity else 0,
                now=now,
            )
        not_created = history.creation.why_not(state.workload, now)
        dues = [due for due in (*history.due(now), self._plausibility.due) if due is not None]
        return Decision(
            key=state.workload.key,
            outcome=outcome,
            current=state.current,
            number=number,
            message=message,
            hpa=state.hpa,
            least=_least(state, number, hold),
            not_created=not_created,
            notes=tuple(_notes(state, capacity, now)),
            due=min(dues, default=None),
            capacity=capacity,
        )


def _target(snapshot: Snapshot, state: WorkloadState, capacity: Capacity | None, now: float) -> tuple[int, str]:
    """The number of pods for what is known now, and what it was derived from."""
    rules = state.rules
    if state.hold:
        return state.current, ""
    if capacity is None:
        totals = target.totals(snapshot.nodes.values(), state.demand, rules)
        counted = f"{totals.cores} cores on {totals.nodes} schedulable nodes"
        everything = f"{totals.all_cores} cores on {totals.all_nodes} nodes in all"
        return target.proportional(totals, rules), f"{rules.mode}: {counted}, {everything}"
    if state.hpa:
        return target.bounds(capacity, rules)[1], _summary(capacity, target.headroom(capacity, rules))
    backoff = state.history.backoff
    backoff.note_pending(state.pods, has_room=bool(capacity.allocated), now=now)
    number = target.after_refusal(
        target.fit(capacity, rules, current=state.current), capacity, backoff, current=state.current, now=now
    )
    return target.clamped(number, rules), backoff.reason(now) or _summary(capacity, target.headroom(capacity, rules))


def _summary(capacity: Capacity, headroom: int) -> str:
    free = sum(capacity.allocated.values())
    kept = f", {headroom} of them left free for rollouts" if headroom else ""
    return f"room for {capacity.total} pods: {capacity.in_use} in use, {free} free{kept}"


def _reason_to_hold(
    snapshot: Snapshot, state: WorkloadState, capacity: Capacity | None, implausible: str
) -> Hold | None:
    """Why the target must not be acted on."""
    if implausible:
        return Outcome.CLUSTER_IMPLAUSIBLE, implausible
    if capacity is not None:
        only_autoscaled = not capacity.usable and capacity.could_use_autoscaled
    else:
        only_autoscaled = not state.rules.counts_autoscaled and all(
            state.rules.autoscaled.mark(node) for node in snapshot.nodes.values()
        )
    if only_autoscaled:
        ways = f"set {DOMAIN}mode to hpa-bounds, or {DOMAIN}autoscaled-nodes to never"
        return Outcome.ONLY_AUTOSCALED_NODES, f"all nodes that it could use belong to an autoscaler; {ways}"
    return None


def _least(state: WorkloadState, number: int, hold: Hold | None) -> int:
    if state.hpa is None:
        return 0
    return state.hpa.least if hold else min(state.rules.least, number)


def _notes(state: WorkloadState, capacity: Capacity | None, now: float) -> Iterator[str]:
    yield from state.parsed.unknown
    if capacity is None:
        return
    if state.demand.unclear:
        yield f"sizing ignores {', '.join(state.demand.unclear)}"
    if not capacity.usable and not capacity.could_use_autoscaled:
        yield "no node accepts its pods: check node selector, affinity, taints and cordons"
    if state.rules.least > capacity.total + capacity.on_autoscaled:
        room = capacity.total + capacity.on_autoscaled
        yield f"{DOMAIN}min requires {state.rules.least} pods, but there is room for {room}"
    if capacity.on_autoscaled:
        yield f"{capacity.on_autoscaled} pods run on nodes of an autoscaler, which are not counted"
