"""The state of each workload between two decisions, and what can keep its number of pods as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.model.names import DOMAIN
from corepod.operator.sizing.allocation import UNLIMITED
from corepod.operator.sizing.annotations import rules
from corepod.operator.sizing.backoff import PlacementBackoff
from corepod.operator.sizing.capacity import CapacityRequest
from corepod.operator.sizing.conflicts import CompetingWriter
from corepod.operator.sizing.creation import PodCreation
from corepod.operator.sizing.decision import Outcome
from corepod.operator.sizing.pacing import WritePacing
from corepod.operator.sizing.stabilization import Stabilization

if TYPE_CHECKING:
    from corepod.operator.model.facts import Demand, HorizontalAutoscaler, Key, Pod, Workload
    from corepod.operator.model.snapshot import Snapshot
    from corepod.operator.sizing.annotations import ParsedRules, Rules

Hold = tuple[Outcome, str]
Identity = tuple["Key", str, str]


class History:
    """What is remembered about a workload from one decision to the next."""

    def __init__(self, number: int, wait: float, now: float) -> None:
        self.stabilization = Stabilization(number, wait, now)
        self.competing_writer = CompetingWriter()
        self.backoff = PlacementBackoff()
        self.creation = PodCreation()
        self.pacing = WritePacing()

    def due(self, now: float) -> list[float | None]:
        others = self.stabilization, self.competing_writer, self.creation, self.pacing
        return [self.backoff.due(now), *(each.due for each in others)]


@dataclass(slots=True)
class WorkloadState:
    """Everything that a decision about one workload needs, except for room on the nodes."""

    workload: Workload
    parsed: ParsedRules
    demand: Demand
    pods: list[Pod]
    hpa: HorizontalAutoscaler | None  # only in the mode hpa-bounds
    history: History
    current: int
    hold: Hold | None  # why the number stays as it is

    @property
    def rules(self) -> Rules:
        return self.parsed.rules

    @property
    def removes_pending_first(self) -> bool:
        """Whether fewer replicas remove pending pods first. A StatefulSet always removes the last one."""
        return self.workload.key.kind == "Deployment" and self.hpa is None

    def capacity_request(self, now: float) -> CapacityRequest | None:
        """The room that it needs on the nodes, None if its number doesn't depend on that."""
        if self.hold or self.rules.mode not in ("fit", "hpa-bounds"):
            return None
        backoff = self.history.backoff
        further = backoff.further(now)
        most = UNLIMITED if further is None else further
        return CapacityRequest(self.workload.key, self.demand, self.rules, most, backoff.nodes(now))


class Histories:
    """The histories of all sized workloads."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._of: dict[Identity, History] = {}

    def states(self, snapshot: Snapshot, now: float) -> list[WorkloadState]:
        """One for each sized workload. The histories of all others are dropped."""
        sized = [each for each in snapshot.workloads.values() if each.sized and not each.deleting]
        found = [self._state_of(snapshot, each, now) for each in sized]
        self._of = {_identity(state.workload, state.rules): state.history for state in found}
        return found

    def wrote(self, key: Key, number: int, now: float) -> None:
        for name, history in self._of.items():
            if name[0] == key:
                history.competing_writer.wrote(number, now)
                history.pacing.wrote(number, now)

    def _state_of(self, snapshot: Snapshot, workload: Workload, now: float) -> WorkloadState:
        parsed = rules(workload.annotations)
        hpa = snapshot.hpas.get(workload.key)
        bound = hpa if parsed.rules.mode == "hpa-bounds" else None
        shown = bound.most if bound else workload.replicas
        history = self._of.get(_identity(workload, parsed.rules)) or History(shown, self._wait, now)
        pods = snapshot.pods.get(workload.key, [])
        demand = _demand(workload, pods)
        current = history.competing_writer.observe(shown, now, 0 if bound else workload.generation)
        history.backoff.note_refused(demand, pods, now)
        hold = (
            _invalid(parsed, demand)
            or _not_ours(workload, parsed.rules, hpa)
            or _competing_writer(history, workload, now)
        )
        return WorkloadState(workload, parsed, demand, pods, bound, history, current, hold)


def _identity(workload: Workload, rules: Rules) -> Identity:
    """A workload that was deleted and created again, or has another mode, gets a new history."""
    return workload.key, workload.uid, rules.mode


def _demand(workload: Workload, pods: list[Pod]) -> Demand:
    """The demand of its next pod.

    The newest pod shows what admission added (sidecars, limit ranges), the template only what was written.
    """
    alive = [pod for pod in pods if pod.demand and not pod.deleting]
    newest = max(alive, key=lambda pod: (pod.created, pod.name), default=None)
    return newest.demand if newest and newest.demand else workload.demand


def _invalid(parsed: ParsedRules, demand: Demand) -> Hold | None:
    if parsed.faults:
        return Outcome.INVALID_ANNOTATIONS, "; ".join(parsed.faults)
    if parsed.rules.mode in ("fit", "hpa-bounds") and not demand.of("cpu"):
        fix = "set resources.requests.cpu"
        return Outcome.MISSING_CPU_REQUEST, f"its pods request no CPU, so any number of them would fit; {fix}"
    return None


def _not_ours(workload: Workload, rules: Rules, hpa: HorizontalAutoscaler | None) -> Hold | None:
    """Whether something else determines the number of pods."""
    if rules.paused:
        return Outcome.PAUSED, f"{DOMAIN}paused is true"
    if rules.mode == "hpa-bounds":
        if hpa is None:
            why = "the mode hpa-bounds needs a HorizontalPodAutoscaler, and none targets this workload"
            return Outcome.HPA_MISMATCH, why
        if hpa.owner:
            why = f"HorizontalPodAutoscaler {hpa.name} belongs to {hpa.owner}, which sets its limits"
            return Outcome.HPA_MISMATCH, why
        return None
    if hpa is not None:
        why = f"HorizontalPodAutoscaler {hpa.name} scales it; the mode hpa-bounds would set its limits instead"
        return Outcome.HPA_MISMATCH, why
    if workload.replicas == 0 and rules.mode != "ladder":
        return Outcome.SCALED_TO_ZERO, "it is scaled to 0 and stays there until it is scaled up"
    return None


def _competing_writer(history: History, workload: Workload, now: float) -> Hold | None:
    if not history.competing_writer.gives_way(now):
        return None
    who = f" ({workload.replicas_by})" if workload.replicas_by else ""
    ways = f"remove one of the two, or set {DOMAIN}paused to true"
    return Outcome.COMPETING_WRITER, f"another writer{who} keeps changing the number of pods; {ways}"
