"""Applies decisions: one write for each number that changes, and an Event and a log line about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from corepod.operator.api.cluster import DEPLOYMENTS, HORIZONTAL_AUTOSCALERS, STATEFULSETS
from corepod.operator.api.errors import Changed, ClusterError, Forbidden, NotFound
from corepod.operator.api.events import Subject
from corepod.operator.sizing.decision import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.events import Events
    from corepod.operator.model.facts import Key, Workload
    from corepod.operator.sizing.decision import Decision

KINDS = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFULSETS}
PAUSES = (2.0, 5.0, 15.0, 60.0, 300.0)  # seconds after one, two, three … failed writes in a row
SOON = 0.5  # seconds after a write that came too late
# Outcomes that need attention. The others are what the owner of the workload asked for, or end by themselves.
TROUBLE = {
    Outcome.INVALID_ANNOTATIONS,
    Outcome.MISSING_CPU_REQUEST,
    Outcome.ONLY_AUTOSCALED_NODES,
    Outcome.HPA_MISMATCH,
    Outcome.COMPETING_WRITER,
    Outcome.CLUSTER_IMPLAUSIBLE,
}


@dataclass(slots=True)
class WriteFailures:
    """Failed writes to one workload, in a row."""

    count: int
    retry_at: float
    message: str


class Applier:
    """Writes numbers of pods and Events. Used by one thread."""

    def __init__(
        self, cluster: Cluster, events: Events, log: Callable[[str], None], is_leader: Callable[[], bool], *, dry: bool
    ) -> None:
        """`is_leader` is asked before each write whether this operator is the one that acts; `dry` writes nothing."""
        self._cluster, self._events, self._log, self._is_leader, self._dry = cluster, events, log, is_leader, dry
        self.failures: dict[Key, WriteFailures] = {}
        self._outcomes: dict[Key, tuple[Outcome, str]] = {}
        self._not_created: dict[Key, str] = {}
        self.written = self.failed = 0

    def forget(self, present: set[Key]) -> None:
        """Drop what is remembered about all workloads but these."""
        for remembered in (self.failures, self._outcomes, self._not_created):
            for key in remembered.keys() - present:
                del remembered[key]

    def apply(self, decision: Decision, workload: Workload, now: float) -> bool:
        """Carry out a decision. Returns whether its number was written."""
        self._report(decision, workload)
        failures = self.failures.get(decision.key)
        if not decision.writes or (failures is not None and now < failures.retry_at) or not self._is_leader():
            return False
        change = _change(decision)
        if self._dry:
            self._log(f"{decision.key}: {change} (dry run: not written)")
            return False
        try:
            self._write(decision)
        except ClusterError as error:
            self._on_failure(decision, workload, error, now)
            return False
        self.written += 1
        self.failures.pop(decision.key, None)
        self._log(f"{decision.key}: {change}")
        self._events.normal(_subject(workload), "Sized", change)
        return True

    def _write(self, decision: Decision) -> None:
        kind, namespace, name = decision.key
        if decision.hpa is None:
            self._cluster.scale(KINDS[kind], namespace, name, old=decision.current, new=decision.number)
        else:
            limits = (decision.least, decision.number)
            self._cluster.set_hpa_limits(
                HORIZONTAL_AUTOSCALERS, namespace, decision.hpa.name, old=decision.hpa.most, new=limits
            )

    def _on_failure(self, decision: Decision, workload: Workload, error: ClusterError, now: float) -> None:
        self.failed += 1
        count = self.failures[decision.key].count + 1 if decision.key in self.failures else 1
        # Another writer was faster, and the watch is about to show its number.
        pause = SOON if isinstance(error, Changed) else PAUSES[min(count, len(PAUSES)) - 1]
        message = f"{_change(decision)}: could not be written: {error}"
        self.failures[decision.key] = WriteFailures(count, now + pause, message)
        self._log(f"{decision.key}: {message}; retrying in {pause:g} s")
        # A workload that has changed or is gone is no reason for a warning.
        if not isinstance(error, Changed | NotFound):
            reason = "SizingForbidden" if isinstance(error, Forbidden) else "SizingFailed"
            self._events.warning(_subject(workload), reason, str(error))

    def _report(self, decision: Decision, workload: Workload) -> None:
        """Log a new outcome once, and write Events about problems."""
        if self._outcomes.get(decision.key) != (decision.outcome, decision.message):
            before = self._outcomes.get(decision.key, (None, ""))[0]
            self._outcomes[decision.key] = decision.outcome, decision.message
            # While the outcome is fine its message changes all the time.
            if decision.outcome != before or decision.outcome in TROUBLE:
                self._log(f"{decision.key}: {decision.outcome}, {decision.current}: {decision.message}")
        if decision.not_created != self._not_created.get(decision.key, ""):
            self._not_created[decision.key] = decision.not_created
            said = (
                f"its pods can't be created: {decision.not_created}"
                if decision.not_created
                else "its pods can be created again"
            )
            self._log(f"{decision.key}: {said}")
        if self._dry or not self._is_leader():
            return
        if decision.not_created:
            self._events.warning(_subject(workload), "PodsNotCreated", decision.not_created)
        if decision.outcome in TROUBLE:
            self._events.warning(_subject(workload), decision.outcome.reason, decision.message)
        for note in decision.notes:
            self._events.warning(_subject(workload), "SizingNote", note)


def _subject(workload: Workload) -> Subject:
    kind, namespace, name = workload.key
    return Subject(KINDS[kind].version, kind, namespace, name, workload.uid)


def _change(decision: Decision) -> str:
    what = "maxReplicas" if decision.hpa else "replicas"
    return f"{what} {decision.current} -> {decision.number}: {decision.message}"
