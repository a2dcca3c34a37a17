"""Who of several operators acts: a Lease, judged by this process's own monotonic clock.

Whoever holds it renews it; the others watch it, and take it when its holder has given it up or hasn't renewed it for as
long as the Lease itself says. Nobody compares the times in it with a clock: clocks of two machines may differ by
minutes. A holder that could not renew it for DEADLINE stops to act, 0.4 of its duration before anybody else
may: longer than a write takes. All writes of the Lease are bound to the version they were made from, so two can't
both succeed. The watch of the Lease only makes a hand-over fast.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from corepod.operator.cluster import DEPLOYMENTS, LEASES
from corepod.operator.errors import ClusterError, Conflict, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.answers import JSON
    from corepod.operator.cluster import Cluster
    from corepod.operator.watching import Cache

DURATION = 15.0  # seconds without a renewal after which others may take it
# Parts of the duration.
DEADLINE = 0.6  # for which the holder acts after its last renewal
WRITE = 0.2  # that a write of the holder may take; with its answer twice that, which is what is left
RENEW = 0.25  # between two renewals
RETRY = 0.07  # to the next try when one has failed
WITHIN = 0.2  # that a renewal may take


@dataclass(frozen=True, slots=True)
class Held:
    """What a Lease says."""

    holder: str
    duration: float
    renewed: str
    acquired: str
    transitions: int
    version: str


def read(found: JSON) -> Held:
    """A Lease as the operator knows it. Raises ValueError for one without its form."""
    try:
        spec = found.get("spec") or {}
        return Held(
            holder=spec.get("holderIdentity") or "",
            duration=float(spec.get("leaseDurationSeconds") or DURATION),
            renewed=spec.get("renewTime") or "",
            acquired=spec.get("acquireTime") or "",
            transitions=int(spec.get("leaseTransitions") or 0),
            version=found["metadata"]["resourceVersion"],
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a Lease: {error!r}") from error


class Elector:
    """Keeps this process's claim on one Lease. `step` and `release` are called by one thread, `holds` by any."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache[Held],
        *,
        namespace: str,
        name: str,
        identity: str,
        owner: str = "",
        duration: float = DURATION,
        clock: Callable[[], float] = time.monotonic,
        won: Callable[[], None] = lambda: None,
        tell: Callable[[str], None],
    ) -> None:
        """`cache` has the Lease by a watch. `owner` is the Deployment that it is removed with, empty for none; `won` is
        called whenever this process begins to act.
        """
        self._cluster, self._cache, self._clock, self._tell, self._on_win = cluster, cache, clock, tell, won
        self._namespace, self._name, self.identity, self._owner = namespace, name, identity, owner
        self._duration, self._within, self._retry = duration, duration * WITHIN, duration * RETRY
        self._seen: Held | None = None
        self._seen_at = 0.0
        self._until = self._due = 0.0
        self._owners: list[JSON] | None = None
        self.poked = threading.Event()
        self.stopped = False

    @property
    def holds(self) -> bool:
        """Whether this process may act, now."""
        return self._clock() < self._until

    @property
    def holder(self) -> str:
        """Who holds it, as far as is known."""
        return self._seen.holder if self._seen else ""

    def run(self) -> None:
        """Until stopped; then the Lease is given up."""
        while not self.stopped:
            self.poked.wait(self.step())
            self.poked.clear()
        self.release()

    def step(self) -> float:
        """Renew it, or take it if that is possible. Returns the seconds to the next step."""
        held, now = self._observe(), self._clock()
        try:
            if held is None:
                return self._create() if self._cache.synced else self._retry
            if held.holder == self.identity:
                # The watch shows what has just been written, and wakes this thread for it.
                rest = self._due - now if self.holds else 0.0
                return rest if rest > 0 else self._write(held, renew=True)
            self._lose()
            rest = self._seen_at + held.duration - now if held.holder else 0.0
            return self._write(held, renew=False) if rest <= 0 else rest
        except Conflict:
            return self._look_again()
        except (ClusterError, ValueError) as error:  # the answer may be anything
            self._tell(f"the lease {self._name}: {error!r}")
            return self._retry

    def release(self) -> None:
        """Give it up, so that another takes it at once."""
        self._until = 0.0
        held = self._seen
        if held is None or held.holder != self.identity:
            return
        try:
            self._cluster.replace(LEASES, self._namespace, self._name, self._body(held, "", 1), within=0.5)
            self._tell("gave up the lease")
        except ClusterError as error:
            self._tell(f"the lease could not be given up: {error}")

    # Steps

    def _observe(self) -> Held | None:
        """The newest that is known of it: by the watch, or by what this process has written itself."""
        held = self._cache.get(self._namespace, self._name)
        if held is None and self._cache.synced and not self.holds:
            self._seen = None
        elif held is not None and (self._seen is None or _newer(held, self._seen)):
            self._note(held)
        return self._seen

    def _note(self, held: Held) -> None:
        if held != self._seen:
            self._seen, self._seen_at = held, self._clock()

    def _look_again(self) -> float:
        try:
            self._note(read(self._cluster.get(LEASES, self._namespace, self._name)))
        except NotFound:
            self._seen = None
        except (ClusterError, ValueError):
            return self._retry
        return 0.0 if self.holder == self.identity else self._retry

    def _create(self) -> float:
        began = self._clock()
        body = {"metadata": self._meta(), "spec": self._spec(self.identity, self._duration, _now(), 0)}
        self._won(self._cluster.create(LEASES, self._namespace, body, within=self._within), began)
        return self._duration * RENEW

    def _write(self, held: Held, *, renew: bool) -> float:
        began = self._clock()
        try:
            body = self._body(held, self.identity, self._duration, renew=renew)
            found = self._cluster.replace(LEASES, self._namespace, self._name, body, within=self._within)
        except NotFound:
            self._seen = None
            return self._create()
        self._won(found, began)
        return self._duration * RENEW

    def _won(self, found: JSON, began: float) -> None:
        """It was still ours when the request was sent: the time that its answer took counts against us."""
        before = self.holds
        self._note(read(found))
        self._until = began + self._duration * DEADLINE
        self._due = began + self._duration * RENEW
        if not before:
            self._tell(f"{self.identity} holds the lease and acts")
            self._on_win()

    def _lose(self) -> None:
        if self._until:
            self._tell(f"{self.holder or 'nobody'} holds the lease; this one waits")
        self._until = 0.0

    # What is written

    def _body(self, held: Held, holder: str, duration: float, *, renew: bool = True) -> JSON:
        acquired = held.acquired if renew else _now()
        spec = self._spec(holder, duration, acquired, held.transitions + (not renew))
        return {"metadata": {**self._meta(), "resourceVersion": held.version}, "spec": spec}

    def _spec(self, holder: str, duration: float, acquired: str, transitions: int) -> JSON:
        return {
            "holderIdentity": holder,
            "leaseDurationSeconds": int(duration),
            "acquireTime": acquired or _now(),
            "renewTime": _now(),
            "leaseTransitions": transitions,
        }

    def _meta(self) -> JSON:
        meta: JSON = {"name": self._name, "namespace": self._namespace}
        if self._owner and self._owners is None:
            try:
                found = self._cluster.get(DEPLOYMENTS, self._namespace, self._owner)
                owner = {
                    "apiVersion": "apps/v1",
                    "kind": "Deployment",
                    "name": self._owner,
                    "uid": found["metadata"]["uid"],
                }
                self._owners = [owner]
            except ClusterError as error:
                self._tell(f"the lease has no owner, so it outlives an uninstall: {error}")
        return {**meta, "ownerReferences": self._owners} if self._owners else meta


def _newer(one: Held, other: Held) -> bool:
    """Versions of one object grow. Where they aren't numbers, any other one is news."""
    try:
        return int(one.version) > int(other.version)
    except ValueError:
        return one != other


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
