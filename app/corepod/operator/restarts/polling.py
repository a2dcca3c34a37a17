"""Which pod is read next: all in turn, and out of turn those that report a death. Never more than RATE a second.

Namespaces belong to tenants, and a pod that doesn't respond holds a reader until its deadline. So the namespaces take
turns, and one of them gets a further reader only while it holds fewer than are free: half of the readers where it is
the only slow one.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from corepod.operator.model.facts import Pod

READERS = 8  # pods that are read at a time
INTERVAL = 50.0  # seconds for reading all pods once; longer with more pods than RATE allows
RATE = 50.0  # reads a second
SPACING = 1.0  # least number of seconds between two reads of one pod
FEW = 100  # as many new pods are read out of turn; more are new only after a start


class PollQueue:
    """Not thread safe. `now` is the time of any monotonic clock."""

    def __init__(self, readers: int = READERS) -> None:
        self._readers = readers
        self._pods: dict[str, Pod] = {}  # by uid
        self._order: list[str] = []
        self._position = 0
        self._at: dict[str, str] = {}  # uids by address
        # Uids to read out of turn, and the earliest time for it, by namespace. The namespace that comes next is first.
        self._urgent: dict[str, dict[str, float]] = {}
        self._recent: dict[str, float] = {}  # when pods were read in the last SPACING seconds
        self._reading: dict[str, str] = {}  # namespaces of the pods that are being read, by uid
        self._regular = self._next = float("-inf")
        self._was_regular = False

    def knows(self, address: str) -> bool:
        return address in self._at

    def replace(self, pods: Iterable[Pod], met: Iterable[str], now: float) -> set[str]:
        """Set the pods to read. Those whose uid isn't in `met` are new. Returns all uids."""
        self._pods = {pod.uid: pod for pod in _readable(pods)}
        # A pod that is being deleted makes way here, too: its successor may have only its second address.
        going_first = sorted(self._pods.values(), key=lambda pod: not pod.deleting)
        self._at = {address: pod.uid for pod in going_first for address in (pod.ip, *pod.other_ips)}
        self._order = list(self._pods)
        self._urgent = {
            namespace: left
            for namespace, waiting in self._urgent.items()
            if (left := {uid: when for uid, when in waiting.items() if uid in self._pods})
        }
        self._recent = {uid: when for uid, when in self._recent.items() if now - when < SPACING}
        new = self._pods.keys() - met - {uid for waiting in self._urgent.values() for uid in waiting}
        ready = [uid for uid in new if self._pods[uid].ready]
        if len(ready) <= FEW:
            for uid in ready:
                self.schedule(uid, now)
        return set(self._order)

    def expedite(self, address: str, now: float) -> bool:
        """Read the pod with this address out of turn. Returns whether there is one."""
        if (uid := self._at.get(address)) is None:
            return False
        self.schedule(uid, now)
        return True

    def schedule(self, uid: str, when: float) -> None:
        """Read it out of turn, not before `when`."""
        if (pod := self._pods.get(uid)) is None:
            return
        waiting = self._urgent.setdefault(pod.namespace, {})
        waiting[uid] = max(when, self._recent.get(uid, when - SPACING) + SPACING, waiting.get(uid, when))

    def next(self, now: float) -> tuple[Pod | None, float]:
        """The pod to read now, or None and the seconds until there may be one. `done` has to follow a read."""
        if now < self._next:
            return None, self._next - now
        uid = self._pick(now)
        if uid is None:
            return None, max(0.0, min(self._times(), default=now + INTERVAL) - now)
        self._next = now + 1.0 / RATE
        self._recent[uid] = now
        self._reading[uid] = self._pods[uid].namespace
        return self._pods[uid], 0.0

    def done(self, uid: str) -> None:
        """The pod has been read."""
        del self._reading[uid]

    def _pick(self, now: float) -> str | None:
        # Turn and turn about: else pods that report deaths all the time would keep all others from being read.
        regular_first = not self._was_regular
        uid = (self._pick_regular(now) if regular_first else None) or self._pick_urgent(now)
        self._was_regular = regular_first
        return uid or (None if regular_first else self._pick_regular(now))

    def _pick_regular(self, now: float) -> str | None:
        if not self._order or now < self._regular or len(self._reading) >= self._readers:
            return None
        self._regular = now + max(1.0 / RATE, INTERVAL / len(self._order))
        self._position = (self._position + 1) % len(self._order)
        uid = self._order[self._position]
        if uid not in self._reading and may_read(self._pods[uid].namespace, self._reading.values(), self._readers):
            return uid
        self.schedule(uid, now)  # it must not hold up the turn of others
        return None

    def _pick_urgent(self, now: float) -> str | None:
        for namespace in self._allowed():
            waiting = self._urgent[namespace]
            for uid, when in waiting.items():
                # Two readers of one pod at once would publish the same deaths twice.
                if now >= when and uid not in self._reading:
                    del waiting[uid], self._urgent[namespace]
                    if waiting:
                        self._urgent[namespace] = waiting  # behind the others
                    return uid
        return None

    def _allowed(self) -> list[str]:
        """The namespaces with waiting pods that may get a reader."""
        held = list(self._reading.values())
        return [namespace for namespace in self._urgent if may_read(namespace, held, self._readers)]

    def _times(self) -> Iterator[float]:
        """When there may be a pod to read; pods that wait for a reader are looked at when a read ends."""
        for namespace in self._allowed():
            yield from (when for uid, when in self._urgent[namespace].items() if uid not in self._reading)
        if self._order and len(self._reading) < self._readers:
            yield self._regular


def may_read(namespace: str, held: Iterable[str], readers: int) -> bool:
    """Whether a namespace may get a further reader. `held` has the namespace of each reader that is busy.

    This is the dynamic threshold of shared buffers (Choudhury and Hahne 1998) with a factor of 1.
    """
    held = Counter(held)
    return held[namespace] < readers - held.total()


def _readable(pods: Iterable[Pod]) -> Iterator[Pod]:
    """The pods that can be read. Pods on the host's network share an address, and it can't be known which of them
    answers there; only a pod that is being deleted makes way for its successor.
    """
    at: dict[str, list[Pod]] = {}
    for pod in pods:
        at.setdefault(pod.ip, []).append(pod)
    for sharing in at.values():
        present = [pod for pod in sharing if not pod.deleting] if len(sharing) > 1 else sharing
        if len(present) == 1:
            yield present[0]
