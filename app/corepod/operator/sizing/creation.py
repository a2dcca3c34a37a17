"""Notices pods that can't be created: a quota, a LimitRange or an admission webhook refuses them.

A Deployment says so in its condition ReplicaFailure. A StatefulSet has no such condition, only Events of its
controller, so there pods count as refused if they are still missing although all others have long been available.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.operator.model.facts import Workload

PATIENCE = 30.0  # seconds within which a controller creates a pod


class PodCreation:
    """What is remembered about the pods of one workload that are missing."""

    __slots__ = ("_since", "due")

    def __init__(self) -> None:
        self._since: float | None = None
        self.due: float | None = None  # when to decide again, even without a change

    def why_not(self, workload: Workload, now: float) -> str:
        """Why its pods can't be created, empty if they can, as far as it shows."""
        self._since = None if not workload.missing else now if self._since is None else self._since
        self.due = None
        if workload.refusal:
            return workload.refusal
        if self._since is None:
            return ""
        if now - self._since < PATIENCE:
            self.due = self._since + PATIENCE
            return ""
        return (
            f"{workload.missing} pods have been missing for {PATIENCE:.0f} s or longer although all others are "
            f"available; the reason is in the Events FailedCreate of the {workload.key.kind}"
        )
