"""What was decided about a workload: the interface between sizing and the code that applies or explains it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.operator.model.facts import HorizontalAutoscaler, Key
    from corepod.operator.sizing.capacity import Capacity


class Outcome(StrEnum):
    """The result for a workload, as shown in /status, metrics and the log."""

    SIZED = "sized"  # the number is the target, once it is written
    STABILIZING = "stabilizing"  # the target is lower, but hasn't been for long enough
    PAUSED = "paused"
    SCALED_TO_ZERO = "scaled_to_zero"  # by a person or another program
    INVALID_ANNOTATIONS = "invalid_annotations"
    MISSING_CPU_REQUEST = "missing_cpu_request"  # of its pods, so that any number of them would fit
    ONLY_AUTOSCALED_NODES = "only_autoscaled_nodes"  # all nodes it could use belong to a node autoscaler
    HPA_MISMATCH = "hpa_mismatch"  # a HorizontalPodAutoscaler scales it, or the mode needs one and there is none
    COMPETING_WRITER = "competing_writer"  # another program keeps changing the number
    CLUSTER_IMPLAUSIBLE = "cluster_implausible"  # what the API server shows, or its age, isn't plausible

    @property
    def reason(self) -> str:
        """The reason of Events about it."""
        return _REASONS.get(self) or "".join(word.capitalize() for word in self.split("_"))


# Abbreviations keep their capitals, as in Kubernetes' own reasons.
_REASONS = {Outcome.MISSING_CPU_REQUEST: "MissingCPURequest", Outcome.HPA_MISMATCH: "HPAMismatch"}


@dataclass(frozen=True, slots=True)
class Decision:
    """For one workload: its replicas, or in the mode hpa-bounds the limits of its HorizontalPodAutoscaler (HPA)."""

    key: Key
    outcome: Outcome
    current: int  # replicas, or the HPA's maxReplicas
    number: int  # what that should be now
    message: str  # the reason, a sentence without a full stop
    hpa: HorizontalAutoscaler | None = None  # the HPA to write to, None for replicas
    least: int = 0  # what its minReplicas should be
    not_created: str = ""  # why its pods can't be created, empty if they can
    notes: tuple[str, ...] = ()  # advice for the owner; it doesn't prevent sizing
    due: float | None = None  # when to decide again, even without a change
    capacity: Capacity | None = None  # what the number was derived from; None if it doesn't depend on room

    @property
    def writes(self) -> bool:
        """Whether anything has to be written."""
        return self.number != self.current or (self.hpa is not None and self.least != self.hpa.least)
