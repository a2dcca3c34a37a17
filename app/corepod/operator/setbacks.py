"""Pods that were asked for and found no place after all: no more of them for a while, then one to try.

A kubelet that refuses a pod (SMT alignment, cores that were taken meanwhile) leaves it Failed, and its controller makes
the next one at once: without an end, as long as more pods are asked for than are let in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from corepod.operator.facts import SMT_ALIGNMENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.facts import Demand, Pod

FIRST = 60.0  # seconds without another try; doubled with each failure that follows
MOST = 3600.0
PATIENCE = 30.0  # seconds in which a scheduler finds a place that is there
EVERYWHERE = ""


class Pause:
    """Of one node, or of all."""

    __slots__ = ("length", "until", "why")

    def __init__(self) -> None:
        self.until = 0.0
        self.length = 0.0
        self.why = ""

    def extend(self, why: str, now: float) -> None:
        if now < self.until:
            return  # several pods of one try
        # Long after the last one it is another story, and begins anew.
        again = self.length and now - self.until < 2 * self.length
        self.length = min(MOST, 2 * self.length) if again else FIRST
        self.until, self.why = now + self.length, why


class Setbacks:
    """Those of one workload. Forgotten when its pods ask for something else."""

    def __init__(self) -> None:
        self._demand: Demand | None = None
        self._pauses: dict[str, Pause] = {}
        self._known: set[str] = set()  # refused pods that have been counted, by uid
        self._waiting: dict[str, float] = {}  # since when pods have been without a place

    def look(self, demand: Demand, pods: Iterable[Pod], now: float) -> None:
        """Take note of refused pods."""
        if demand is not self._demand and demand != self._demand:
            self._demand, self._pauses = demand, {}
        refused = {pod.uid: pod for pod in pods if pod.refused}
        for uid in refused.keys() - self._known:
            pod = refused[uid]
            # No other node of the kind lets a pod of this size in.
            scope = EVERYWHERE if pod.reason == SMT_ALIGNMENT else pod.node
            why = f"{pod.node} refused a pod: {pod.reason}" + (f" ({pod.message})" if pod.message else "")
            self._pauses.setdefault(scope, Pause()).extend(why, now)
        self._known = set(refused)

    def wait(self, pods: Iterable[Pod], *, room: bool, now: float) -> None:
        """Take note of pods that the scheduler finds no place for. `room`: there should be one."""
        lost = {pod.uid: pod for pod in pods if not pod.node and not pod.over and pod.reason == "Unschedulable"}
        self._waiting = {uid: self._waiting.get(uid, now) for uid in lost if room}
        for uid, since in self._waiting.items():
            if now - since >= PATIENCE:
                why = f"the scheduler finds no place although there seems to be one: {lost[uid].message}"
                self._pauses.setdefault(EVERYWHERE, Pause()).extend(why, now)

    def nodes(self, now: float) -> frozenset[str]:
        """Nodes that get no further pod."""
        return frozenset(name for name, pause in self._pauses.items() if name and now < pause.until)

    def further(self, now: float) -> int | None:
        """How many more pods may be asked for: none, one to try whether it goes now, or any number (None)."""
        pause = self._pauses.get(EVERYWHERE)
        if pause is None or now >= pause.until + pause.length:
            return None
        return 0 if now < pause.until else 1

    def why(self, now: float) -> str:
        """What the last setback that still matters was, empty for none."""
        pauses = [pause for pause in self._pauses.values() if now < pause.until + pause.length]
        return max(pauses, key=lambda pause: pause.until).why if pauses else ""

    def ends(self, now: float) -> float | None:
        """When to look again even if nothing happens."""
        ends = [
            end for pause in self._pauses.values() for end in (pause.until, pause.until + pause.length) if end > now
        ]
        ends += [since + PATIENCE for since in self._waiting.values() if since + PATIENCE > now]
        return min(ends, default=None)
