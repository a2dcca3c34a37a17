"""Leader election as a whole: the elector, the reflector that keeps its Lease up to date, and their threads."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

from corepod.operator.api import lease
from corepod.operator.api.cluster import LEASES
from corepod.operator.api.leader import LeaderElector
from corepod.operator.api.reflector import Reflector
from corepod.operator.api.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from corepod.operator.api.cluster import Cluster


class Election:
    """Takes part in the election once started."""

    def __init__(
        self,
        cluster: Cluster,
        *,
        namespace: str,
        name: str,
        identity: str,
        owner: str,
        duration: float,
        watch_seconds: float,
        won: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        """See LeaderElector; `watch_seconds` is the length of a watch of the Lease."""
        store: Store[lease.LeaseRecord] = Store(lambda: self.elector.poked.set())
        self.elector = LeaderElector(
            cluster,
            store,
            namespace=namespace,
            name=name,
            identity=identity,
            owner=owner,
            duration=duration,
            won=won,
            log=log,
        )
        self._reflector = Reflector(
            cluster,
            LEASES,
            lease.decode,
            store,
            namespace=namespace,
            selector={"fieldSelector": f"metadata.name={name}"},
            seconds=watch_seconds,
            jitter=random.uniform,
            log=log,
        )
        self._thread = threading.Thread(target=self.elector.run, name="leader election", daemon=True)

    def start(self) -> None:
        threading.Thread(target=self._reflector.run, name="reflector leases", daemon=True).start()
        self._thread.start()

    def leave(self, timeout: float) -> None:
        """Release the Lease, within `timeout` seconds."""
        self.elector.stopped = True
        self.elector.poked.set()
        self._thread.join(timeout)
