"""Which pod is read next: all in turn, and out of turn those that report a death. Never more than RATE a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from corepod.operator.model.facts import Pod

INTERVAL = 50.0  # seconds for reading all pods once; longer with more pods than RATE allows
RATE = 50.0  # reads a second
SPACING = 1.0  # least number of seconds between two reads of one pod
FEW = 100  # as many new pods are read out of turn; more are new only after a start


class PollQueue:
    """Not thread safe. `now` is the time of any monotonic clock."""

    def __init__(self) -> None:
        self._pods: dict[str, Pod] = {}  # by uid
        self._order: list[str] = []
        self._position = 0
        self._at: dict[str, tuple[str, ...]] = {}  # uids by address; pods on the host's network share one
        self._urgent: dict[str, float] = {}  # uids to read out of turn, and the earliest time for it
        self._recent: dict[str, float] = {}  # when pods were read in the last SPACING seconds
        self._regular = self._next = float("-inf")

    def knows(self, address: str) -> bool:
        return address in self._at

    def replace(self, pods: Iterable[Pod], met: Iterable[str], now: float) -> set[str]:
        """Set the pods to read. Those whose uid isn't in `met` are new. Returns all uids."""
        self._pods = {pod.uid: pod for pod in pods}
        at: dict[str, tuple[str, ...]] = {}
        for uid, pod in self._pods.items():
            for address in (pod.ip, *pod.other_ips):
                at[address] = (*at.get(address, ()), uid)
        self._at, self._order = at, list(self._pods)
        new = self._pods.keys() - met - self._urgent.keys()
        ready = [uid for uid in new if self._pods[uid].ready]
        if len(ready) <= FEW:
            self._urgent.update(dict.fromkeys(ready, now))
        self._urgent = {uid: when for uid, when in self._urgent.items() if uid in self._pods}
        self._recent = {uid: when for uid, when in self._recent.items() if now - when < SPACING}
        return set(self._order)

    def expedite(self, address: str, now: float) -> None:
        """Read the pods with this address out of turn."""
        for uid in self._at.get(address, ()):
            self.schedule(uid, now)

    def schedule(self, uid: str, when: float) -> None:
        """Read it out of turn, not before `when`."""
        self._urgent[uid] = max(when, self._recent.get(uid, when - SPACING) + SPACING, self._urgent.get(uid, when))

    def next(self, now: float) -> tuple[Pod | None, float]:
        """The pod to read now, or None and the seconds until there may be one."""
        if now < self._next:
            return None, self._next - now
        uid = self._pick(now)
        if uid is None:
            times = [*self._urgent.values(), *([self._regular] if self._order else [])]
            return None, max(0.0, min(times, default=now + INTERVAL) - now)
        self._next = now + 1.0 / RATE
        self._recent[uid] = now
        return self._pods[uid], 0.0

    def _pick(self, now: float) -> str | None:
        for uid, when in self._urgent.items():
            if now >= when:
                del self._urgent[uid]
                return uid
        if not self._order or now < self._regular:
            return None
        self._regular = now + max(1.0 / RATE, INTERVAL / len(self._order))
        self._position = (self._position + 1) % len(self._order)
        return self._order[self._position]
