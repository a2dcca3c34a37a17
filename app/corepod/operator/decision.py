"""What is decided about a workload, for those who carry it out and those who explain it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.operator.capacity import Room
    from corepod.operator.facts import Key, Scaler


class Outcome(StrEnum):
    """What became of a workload."""

    SIZED = "sized"  # the number is what it should be, once it is written
    WAITS = "waits"  # it is to be less, if that stays so
    PAUSED = "paused"
    OFF = "off"  # scaled to 0 by somebody
    FAULT = "fault"  # of its annotations or template
    AUTOSCALER = "autoscaler"  # all nodes it could use are an autoscaler's
    SCALED = "scaled"  # a HorizontalPodAutoscaler is in the way, or missing
    RIVAL = "rival"  # somebody else keeps changing the number
    DOUBT = "doubt"  # what is known of the cluster is not to be believed


@dataclass(frozen=True, slots=True)
class Decision:
    """For one workload: replicas, or in the mode hpa-bounds the limits of its scaler."""

    key: Key
    outcome: Outcome
    current: int  # replicas, or the scaler's maxReplicas
    number: int  # the same as it should be
    message: str  # why, as a sentence without an end
    scaler: Scaler | None = None  # what to write to in the mode hpa-bounds
    least: int = 0  # its minReplicas as they should be
    notes: tuple[str, ...] = ()  # what is worth knowing and holds nothing up
    due: float | None = None  # when to decide again even if nothing happens
    room: Room | None = None  # what the number was made of; None where it wasn't looked at

    @property
    def writes(self) -> bool:
        """Whether there is anything to write."""
        return self.number != self.current or (self.scaler is not None and self.least != self.scaler.least)
