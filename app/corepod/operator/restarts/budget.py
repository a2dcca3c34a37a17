"""How often the operator writes about a pod.

What a pod says makes the operator send requests to the API server, so there are limits for each pod, and for all pods
of a namespace together. A response that no supervisor sends counts like a write: it costs CPU instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from corepod.operator.model.facts import Pod

SPACING = 3.0  # least number of seconds between two writes to one pod
POD = 10.0  # seconds between two writes to one pod on average, after the first POD_BURST
POD_BURST = 5
NAMESPACE = 0.2  # the same for all pods of a namespace
NAMESPACE_BURST = 50
LINES = 60.0  # the same for lines of the log about a namespace's pods
LINES_BURST = 5


class Rate:
    """At most `burst` actions at once for each key, and one in `interval` seconds on average.

    This is the generic cell rate algorithm (ITU-T I.371): one time for each key, at which its actions so far are paid.
    """

    def __init__(self, interval: float, burst: int) -> None:
        self._interval, self._tolerance = interval, interval * (burst - 1)
        self._paid: dict[str, float] = {}

    def earliest(self, key: str, now: float) -> float:
        """When the next action may happen, at least `now`."""
        return max(now, self._paid.get(key, now) - self._tolerance)

    def spend(self, key: str, now: float) -> None:
        self._paid[key] = max(now, self._paid.get(key, now)) + self._interval

    def allows(self, key: str, now: float) -> bool:
        """Whether an action may happen now; if so, it counts."""
        if allowed := self.earliest(key, now) <= now:
            self.spend(key, now)
        return allowed

    def forget(self, now: float) -> None:
        """Forget the keys whose actions are paid."""
        self._paid = {key: paid for key, paid in self._paid.items() if paid > now}


class WriteBudget:
    """When the operator may write to a pod. Not thread safe. `now` is the time of any monotonic clock."""

    def __init__(self) -> None:
        self._pods = (Rate(SPACING, 1), Rate(POD, POD_BURST))
        self._namespaces = Rate(NAMESPACE, NAMESPACE_BURST)

    def earliest(self, pod: Pod, now: float) -> float:
        """When the pod may be written to, at least `now`."""
        return max(self._namespaces.earliest(pod.namespace, now), *(rate.earliest(pod.uid, now) for rate in self._pods))

    def spend(self, pod: Pod, now: float) -> None:
        """The pod is written to."""
        self._namespaces.spend(pod.namespace, now)
        for rate in self._pods:
            rate.spend(pod.uid, now)

    def forget(self, now: float) -> None:
        """Forget what limits nothing any more."""
        for rate in (*self._pods, self._namespaces):
            rate.forget(now)
