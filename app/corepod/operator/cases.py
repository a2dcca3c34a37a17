"""A workload while it is decided on, and what may keep its number as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.allotment import MANY
from corepod.operator.annotations import rules
from corepod.operator.capacity import Applicant
from corepod.operator.decision import Outcome
from corepod.operator.read import DOMAIN
from corepod.operator.rival import Rival
from corepod.operator.setbacks import Setbacks
from corepod.operator.steady import Steady

if TYPE_CHECKING:
    from corepod.operator.annotations import Reading, Rules
    from corepod.operator.facts import Demand, Key, Pod, Scaler, Workload
    from corepod.operator.view import View

Hold = tuple[Outcome, str]
Name = tuple["Key", str, str]


class Course:
    """What is remembered of a workload from one decision to the next."""

    def __init__(self, number: int, wait: float, now: float) -> None:
        self.steady = Steady(number, wait, now)
        self.rival = Rival()
        self.setbacks = Setbacks()

    def due(self, now: float) -> list[float | None]:
        return [self.steady.due, self.rival.due, self.setbacks.ends(now)]


@dataclass(slots=True)
class Case:
    workload: Workload
    reading: Reading
    demand: Demand
    pods: list[Pod]
    scaler: Scaler | None  # only in the mode hpa-bounds
    course: Course
    current: int
    hold: Hold | None  # why the number stays as it is

    @property
    def rules(self) -> Rules:
        return self.reading.rules

    @property
    def gives_up_waiting(self) -> bool:
        """Whether fewer replicas take pods away first that have no place. A StatefulSet takes the last one."""
        return self.workload.key.kind == "Deployment" and self.scaler is None

    def applicant(self, now: float) -> Applicant | None:
        """What it asks of the nodes, None where that doesn't matter."""
        if self.hold or self.rules.mode not in ("fit", "hpa-bounds"):
            return None
        further = self.course.setbacks.further(now)
        shunned = self.course.setbacks.nodes(now)
        return Applicant(self.workload.key, self.demand, self.rules, MANY if further is None else further, shunned)


class Courses:
    """Of all workloads that are looked after."""

    def __init__(self, wait: float) -> None:
        self._wait = wait
        self._of: dict[Name, Course] = {}

    def cases(self, view: View, now: float) -> list[Case]:
        """One for each workload; what was remembered of others is forgotten."""
        mine = [each for each in view.workloads.values() if each.sized and not each.deleting]
        found = [self._case(view, each, now) for each in mine]
        self._of = {_name(case.workload, case.rules): case.course for case in found}
        return found

    def wrote(self, key: Key, number: int, now: float) -> None:
        for name, course in self._of.items():
            if name[0] == key:
                course.rival.wrote(number, now)

    def _case(self, view: View, workload: Workload, now: float) -> Case:
        reading = rules(workload.annotations)
        scaler = view.scalers.get(workload.key)
        bound = scaler if reading.rules.mode == "hpa-bounds" else None
        shown = bound.most if bound else workload.replicas
        course = self._of.get(_name(workload, reading.rules)) or Course(shown, self._wait, now)
        pods = view.pods.get(workload.key, [])
        demand = _demand(workload, pods)
        current = course.rival.see(shown, now, 0 if bound else workload.generation)
        course.setbacks.look(demand, pods, now)
        hold = _fault(reading, demand) or _left_alone(workload, reading.rules, scaler) or _rival(course, workload, now)
        return Case(workload, reading, demand, pods, bound, course, current, hold)


def _name(workload: Workload, rules: Rules) -> Name:
    """Deleted and made again, or sized in another way, it is another one."""
    return workload.key, workload.uid, rules.mode


def _demand(workload: Workload, pods: list[Pod]) -> Demand:
    """What its next pod will ask for.

    The newest pod shows what was added on its way (sidecars, limit ranges); the template only what was written.
    """
    alive = [pod for pod in pods if pod.demand and not pod.deleting]
    newest = max(alive, key=lambda pod: (pod.created, pod.name), default=None)
    return newest.demand if newest and newest.demand else workload.demand


def _fault(reading: Reading, demand: Demand) -> Hold | None:
    if reading.faults:
        return Outcome.FAULT, "; ".join(reading.faults)
    if reading.rules.mode in ("fit", "hpa-bounds") and not demand.of("cpu"):
        return Outcome.FAULT, "its pods request no CPU, so any number of them would fit; set resources.requests.cpu"
    return None


def _left_alone(workload: Workload, rules: Rules, scaler: Scaler | None) -> Hold | None:
    """Whether it is somebody else's at the moment."""
    if rules.paused:
        return Outcome.PAUSED, f"{DOMAIN}paused is true"
    if rules.mode == "hpa-bounds":
        if scaler is None:
            return Outcome.SCALED, "the mode hpa-bounds needs a HorizontalPodAutoscaler, and none has it as its target"
        if scaler.owner:
            return (
                Outcome.SCALED,
                f"HorizontalPodAutoscaler {scaler.name} belongs to {scaler.owner}, which sets its limits",
            )
        return None
    if scaler is not None:
        return (
            Outcome.SCALED,
            f"HorizontalPodAutoscaler {scaler.name} scales it; the mode hpa-bounds would set its limits",
        )
    if workload.replicas == 0 and rules.mode != "ladder":
        return Outcome.OFF, "it is scaled to 0, and stays so until somebody scales it up"
    return None


def _rival(course: Course, workload: Workload, now: float) -> Hold | None:
    if not course.rival.gives_way(now):
        return None
    who = f" ({workload.replicas_by})" if workload.replicas_by else ""
    return Outcome.RIVAL, f"somebody else{who} keeps changing the number; remove one of the two, or set {DOMAIN}paused"
