"""Backs off after pods found no place that seemed to be there: no further pods for a while, then one as a trial.

A kubelet that refuses a pod (SMT alignment, cores that were taken meanwhile) leaves it Failed, and the controller
creates the next one at once. That goes on without end while there are more replicas than the kubelets accept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.model.facts import SMT_ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import Demand, Pod

FIRST = 60.0  # seconds until the first trial; doubled with each failure that follows
MOST = 3600.0
PATIENCE = 30.0  # seconds within which a scheduler finds a place, if there is one
ALL_NODES = ""


class RetryPause:
    """A pause in asking for pods, for one node or for all."""

    __slots__ = ("length", "until", "why")

    def __init__(self) -> None:
        self.until = 0.0
        self.length = 0.0
        self.why = ""

    def extend(self, why: str, now: float) -> None:
        if now < self.until:
            return  # several pods of one attempt
        # Long after the last pause a failure has nothing to do with it, and counts as the first.
        again = self.length and now - self.until < 2 * self.length
        self.length = min(MOST, 2 * self.length) if again else FIRST
        self.until, self.why = now + self.length, why


class PlacementBackoff:
    """The pauses of one workload. Forgotten when the demand of its pods changes."""

    def __init__(self) -> None:
        self._demand: Demand | None = None
        self._pauses: dict[str, RetryPause] = {}
        self._counted: set[str] = set()  # uids of refused pods that have been counted
        self._waiting: dict[str, float] = {}  # since when pods can't be scheduled, by uid

    def note_refused(self, demand: Demand, pods: Iterable[Pod], now: float) -> None:
        """Note pods that a kubelet refused."""
        if demand is not self._demand and demand != self._demand:
            self._demand, self._pauses = demand, {}
        refused = {pod.uid: pod for pod in pods if pod.refused}
        for uid in refused.keys() - self._counted:
            pod = refused[uid]
            # Other nodes of the kind refuse a pod of this size, too.
            scope = ALL_NODES if pod.reason == SMT_ALIGNMENT else pod.node
            why = f"{pod.node} refused a pod: {pod.reason}" + (f" ({pod.message})" if pod.message else "")
            self._pauses.setdefault(scope, RetryPause()).extend(why, now)
        self._counted = set(refused)

    def note_pending(self, pods: Iterable[Pod], *, has_room: bool, now: float) -> None:
        """Note pods that can't be scheduled. `has_room`: by the operator's own reckoning they could be."""
        pending = {pod.uid: pod for pod in pods if not pod.node and not pod.finished and pod.reason == "Unschedulable"}
        self._waiting = {uid: self._waiting.get(uid, now) for uid in pending if has_room}
        for uid, since in self._waiting.items():
            if now - since >= PATIENCE:
                why = f"the scheduler finds no node although one seems to have room: {pending[uid].message}"
                self._pauses.setdefault(ALL_NODES, RetryPause()).extend(why, now)

    def nodes(self, now: float) -> frozenset[str]:
        """Names of nodes on which no further pod may be counted."""
        return frozenset(name for name, pause in self._pauses.items() if name and now < pause.until)

    def further(self, now: float) -> int | None:
        """How many more pods may be asked for: none, one as a trial, or any number (None)."""
        pause = self._pauses.get(ALL_NODES)
        if pause is None or now >= pause.until + pause.length:
            return None
        return 0 if now < pause.until else 1

    def limits(self, now: float) -> tuple[int | None, frozenset[str]]:
        """All that it limits at the moment."""
        return self.further(now), self.nodes(now)

    def reason(self, now: float) -> str:
        """What caused the last pause that still matters, empty without one."""
        pauses = [pause for pause in self._pauses.values() if now < pause.until + pause.length]
        return max(pauses, key=lambda pause: pause.until).why if pauses else ""

    def due(self, now: float) -> float | None:
        """When to decide again, even without a change."""
        ends = [
            end for pause in self._pauses.values() for end in (pause.until, pause.until + pause.length) if end > now
        ]
        ends += [since + PATIENCE for since in self._waiting.values() if since + PATIENCE > now]
        return min(ends, default=None)
