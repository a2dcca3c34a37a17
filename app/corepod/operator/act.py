"""Carries decisions out: one write where a number is to change, nothing where it isn't, and word of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.cluster import AUTOSCALERS, DEPLOYMENTS, STATEFULSETS
from corepod.operator.decision import Outcome
from corepod.operator.errors import Changed, ClusterError, Forbidden, NotFound
from corepod.operator.events import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.cluster import Cluster
    from corepod.operator.decision import Decision
    from corepod.operator.events import Events
    from corepod.operator.facts import Key, Workload

KINDS = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS}
PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0)  # seconds after one, two, three … writes in a row that failed
SOON = 0.5
# Somebody has to do something about these; the others are what the workload's owner asked for, or pass.
TROUBLE = {Outcome.FAULT, Outcome.AUTOSCALER, Outcome.SCALED, Outcome.RIVAL, Outcome.DOUBT}


@dataclass(slots=True)
class Failures:
    """Writes to one workload that failed, in a row."""

    count: int
    until: float  # not before this
    words: str


class Actor:
    """Writes numbers and events. Called by one thread."""

    def __init__(
        self, cluster: Cluster, events: Events, tell: Callable[[str], None], may: Callable[[], bool], *, dry: bool
    ) -> None:
        """`may` says whether this process is the one that acts, asked before each write; `dry` writes nothing."""
        self._cluster, self._events, self._tell, self._may, self._dry = cluster, events, tell, may, dry
        self.failures: dict[Key, Failures] = {}
        self._outcomes: dict[Key, tuple[Outcome, str]] = {}
        self.written = self.failed = 0

    def forget(self, present: set[Key]) -> None:
        """These are all the workloads there are now."""
        for remembered in (self.failures, self._outcomes):
            for key in remembered.keys() - present:
                del remembered[key]

    def carry_out(self, decision: Decision, workload: Workload, now: float) -> bool:
        """Whether the decision's number was written."""
        self._report(decision, workload)
        failures = self.failures.get(decision.key)
        if not decision.writes or (failures is not None and now < failures.until) or not self._may():
            return False
        change = _change(decision)
        if self._dry:
            self._tell(f"{decision.key}: {change} (not written)")
            return False
        try:
            self._write(decision)
        except ClusterError as error:
            self._on_failure(decision, workload, error, now)
            return False
        self.written += 1
        self.failures.pop(decision.key, None)
        self._tell(f"{decision.key}: {change}")
        self._events.normal(_subject(workload), "Sized", change)
        return True

    def _write(self, decision: Decision) -> None:
        kind, namespace, name = decision.key
        if decision.scaler is None:
            self._cluster.scale(KINDS[kind], namespace, name, old=decision.current, new=decision.number)
        else:
            limits = (decision.least, decision.number)
            self._cluster.limit(AUTOSCALERS, namespace, decision.scaler.name, old=decision.scaler.most, new=limits)

    def _on_failure(self, decision: Decision, workload: Workload, error: ClusterError, now: float) -> None:
        self.failed += 1
        count = self.failures[decision.key].count + 1 if decision.key in self.failures else 1
        # Somebody else was faster: the watch is about to show it.
        pause = SOON if isinstance(error, Changed) else PAUSES[min(count, len(PAUSES)) - 1]
        words = f"{_change(decision)}: not written: {error}"
        self.failures[decision.key] = Failures(count, now + pause, words)
        self._tell(f"{decision.key}: {words}; again in {pause:g} s")
        # What has changed or is gone is nobody's fault.
        if not isinstance(error, Changed | NotFound):
            reason = "MayNotSize" if isinstance(error, Forbidden) else "NotSized"
            self._events.warning(_subject(workload), reason, str(error))

    def _report(self, decision: Decision, workload: Workload) -> None:
        """Say once what has become of it."""
        if self._outcomes.get(decision.key) != (decision.outcome, decision.message):
            before = self._outcomes.get(decision.key, (None, ""))[0]
            self._outcomes[decision.key] = decision.outcome, decision.message
            # Of a number that is right the parts change all the time.
            if decision.outcome != before or decision.outcome in TROUBLE:
                self._tell(f"{decision.key}: {decision.outcome}, {decision.current}: {decision.message}")
        if self._dry or not self._may():
            return
        if decision.outcome in TROUBLE:
            self._events.warning(_subject(workload), decision.outcome.capitalize(), decision.message)
        for note in decision.notes:
            self._events.warning(_subject(workload), "Note", note)


def _subject(workload: Workload) -> Subject:
    kind, namespace, name = workload.key
    return Subject(KINDS[kind].version, kind, namespace, name, workload.uid)


def _change(decision: Decision) -> str:
    what = "maxReplicas" if decision.scaler else "replicas"
    return f"{what} {decision.current} -> {decision.number}: {decision.message}"
