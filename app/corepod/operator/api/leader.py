"""Leader election: which of several operators acts. Decided by a Lease, judged by each machine's clock since its start.

The holder renews the Lease. The others watch it, and take it if its holder has released it or hasn't renewed it for the
duration that the Lease itself states. The times in it are never compared with a clock, because the clocks of two
machines may differ by minutes. Every write of the Lease is bound to the version that it was made from, so two of them
can't both succeed. The watch of the Lease only makes a hand-over fast.

The deadlines are those of client-go's leaderelection: of 15 s, the holder acts for 10 s after it sent the renewal that
succeeded, and tries to renew every 2 s. Why no two processes act at the same time: another process may start 15 s after
it saw the renewal, which is later than it was sent. The holder begins no write after 10 s, and a write has taken effect
or is given up within WRITE, 4.5 s. The rest of 0.5 s is for the way of the request. A process that is stopped between
its last look at the clock and the write isn't covered, as in client-go. Such a write changes nothing that another
process has done, because it holds only for the number, or for a pod the version, that it was decided on.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from corepod.operator.api.cluster import DEPLOYMENTS, LEASES
from corepod.operator.api.errors import ClusterError, Conflict, NotFound
from corepod.operator.api.lease import DURATION, LeaseRecord, decode, newer, spec

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster
    from corepod.operator.api.responses import JSON
    from corepod.operator.api.store import Store

# Parts of the Lease's duration.
DEADLINE = 10 / 15  # time for which the holder acts after its last renewal
RENEW = 2 / 15  # time between two renewals, and until the next attempt after a failed one
WITHIN = 5 / 15  # time limit of a renewal: if each takes longer, the one after it can't be in time
WRITE = 0.3  # time limit of any other write by the holder: less than what is left of the duration after the deadline

# Linux's CLOCK_MONOTONIC stands still while the machine sleeps: a holder would wake up and act for up to 10 s more.
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)

RELEASE = 4.0  # seconds, the time limit of a release: without it the others wait for the whole duration


def since_start() -> float:
    """Seconds since the machine's start, including those in which it slept."""
    return time.clock_gettime(CLOCK)


class LeaderElector:
    """Tries to hold one Lease for this process. `step` and `release` are called by one thread, `is_leader` by any."""

    def __init__(
        self,
        cluster: Cluster,
        store: Store[LeaseRecord],
        *,
        namespace: str,
        name: str,
        identity: str,
        owner: str = "",
        duration: float = DURATION,
        clock: Callable[[], float] = since_start,
        won: Callable[[], None] = lambda: None,
        log: Callable[[str], None],
    ) -> None:
        """`store` has the Lease, kept by a reflector. `owner` is the Deployment that owns the Lease, so that it is
        deleted with it; empty for none. `won` is called whenever this process becomes the leader.
        """
        self._cluster, self._store, self._clock, self._log, self._on_win = cluster, store, clock, log, won
        self._namespace, self._name, self.identity, self._owner = namespace, name, identity, owner
        self._duration, self._within, self._retry = duration, duration * WITHIN, duration * RENEW
        self._seen: LeaseRecord | None = None
        self._seen_at = 0.0
        self._until = self._due = 0.0
        self._failing: tuple[float, str] | None = None  # since when attempts have failed, and why
        self._owners: list[JSON] | None = None
        self.poked = threading.Event()
        self.stopped = False
        self.ended = False  # the thread that calls `run`

    @property
    def is_leader(self) -> bool:
        """Whether this process may act now."""
        return self._clock() < self._until

    @property
    def holder(self) -> str:
        """The identity of the holder, as far as it is known."""
        return self._seen.holder if self._seen else ""

    def why_not_held(self) -> str:
        """What keeps the Lease from being renewed or taken, empty if nothing does or this process still acts."""
        failing = self._failing
        if failing is None or self.is_leader:
            return ""
        since, error = failing
        return f"the Lease {self._name} couldn't be renewed for {self._clock() - since:.0f} s: {error}"

    def run(self) -> None:
        """Renew or try to take the Lease until stopped, then release it."""
        try:
            while not self.stopped:
                self.poked.wait(self.step())
                self.poked.clear()
            self.release()
        finally:
            self.ended = True

    def step(self) -> float:
        """Renew the Lease, or take it if possible. Returns the seconds until the next step."""
        lease, now = self._observe(), self._clock()
        try:
            if lease is None:
                return self._create() if self._store.synced else self._retry
            if lease.holder == self.identity:
                # The watch reports our own writes, too, and wakes this thread.
                rest = self._due - now if self.is_leader else 0.0
                return rest if rest > 0 else self._write(lease, renew=True)
            self._lose()
            rest = self._seen_at + lease.duration - now if lease.holder else 0.0
            if rest <= 0:
                return self._write(lease, renew=False)
            self._failing = None  # it is another process's turn
            return rest
        except Conflict:
            return self._look_again()
        except (ClusterError, ValueError) as error:  # the response may be anything
            self._log(f"the Lease {self._name} could not be read or written: {error!r}")
            self._failing = self._failing[0] if self._failing else now, str(error)
            return self._retry

    def release(self) -> None:
        """Release the Lease, so that another process can take it at once."""
        self._until = 0.0
        lease = self._seen
        if lease is None or lease.holder != self.identity:
            return
        try:
            self._cluster.replace(LEASES, self._namespace, self._name, self._body(lease, "", 1), within=RELEASE)
            self._log("released the Lease")
        except ClusterError as error:
            self._log(f"the Lease could not be released: {error}")

    # Steps

    def _observe(self) -> LeaseRecord | None:
        """The newest known record: from the watch, or from what this process has written itself."""
        lease = self._store.get(self._namespace, self._name)
        if lease is None and self._store.synced and not self.is_leader:
            self._seen = None
        elif lease is not None and (self._seen is None or newer(lease, self._seen)):
            self._note(lease)
        return self._seen

    def _note(self, lease: LeaseRecord) -> None:
        if lease != self._seen:
            self._seen, self._seen_at = lease, self._clock()

    def _look_again(self) -> float:
        try:
            self._note(decode(self._cluster.get(LEASES, self._namespace, self._name)))
        except NotFound:
            self._seen = None
        except (ClusterError, ValueError):
            return self._retry
        return 0.0 if self.holder == self.identity else self._retry

    def _create(self) -> float:
        began = self._clock()
        body = {"metadata": self._meta(), "spec": spec(self.identity, self._duration, transitions=0)}
        self._won(self._cluster.create(LEASES, self._namespace, body, within=self._within), began)
        return self._duration * RENEW

    def _write(self, lease: LeaseRecord, *, renew: bool) -> float:
        began = self._clock()
        try:
            body = self._body(lease, self.identity, self._duration, renew=renew)
            found = self._cluster.replace(LEASES, self._namespace, self._name, body, within=self._within)
        except NotFound:
            self._seen = None
            return self._create()
        self._won(found, began)
        return self._duration * RENEW

    def _won(self, found: JSON, began: float) -> None:
        """The Lease is ours from the moment the request was sent: the time that its response took counts against us."""
        before, self._failing = self.is_leader, None
        self._note(decode(found))
        self._until = began + self._duration * DEADLINE
        self._due = began + self._duration * RENEW
        if not before:
            self._log(f"{self.identity} holds the Lease and acts")
            self._on_win()

    def _lose(self) -> None:
        if self._until:
            self._log(f"{self.holder or 'no operator'} holds the Lease; this operator waits")
        self._until = 0.0

    # Bodies of requests

    def _body(self, lease: LeaseRecord, holder: str, duration: float, *, renew: bool = True) -> JSON:
        acquired = lease.acquired if renew else ""
        found = spec(holder, duration, acquired=acquired, transitions=lease.transitions + (not renew))
        return {"metadata": {**self._meta(), "resourceVersion": lease.version}, "spec": found}

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
                self._log(f"the Lease gets no owner, so uninstalling will not delete it: {error}")
        return {**meta, "ownerReferences": self._owners} if self._owners else meta
