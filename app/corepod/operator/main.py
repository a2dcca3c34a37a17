"""`corepod operator`: puts the parts together, and takes them apart in order when it is asked to stop."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import random
import signal
import socket
import sys
import threading
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from corepod import __version__
from corepod.contract.exits import EXIT_BIND, EXIT_OK, EXIT_SETTINGS
from corepod.operator import leader, options, report
from corepod.operator.act import Actor
from corepod.operator.cluster import LEASES, Cluster
from corepod.operator.errors import ConnectError
from corepod.operator.events import Events
from corepod.operator.knock import Door
from corepod.operator.known import Known
from corepod.operator.loop import Loop, Wake
from corepod.operator.once import once
from corepod.operator.publish import Publisher
from corepod.operator.server import Server
from corepod.operator.sizing import Sizing
from corepod.operator.transport import Credentials, Transport
from corepod.operator.watching import MARGIN, Cache, Watch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from corepod.operator.options import Options

LAST_WORDS = 1.0  # seconds in which the Lease is given up
NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
STOPS = (signal.SIGTERM, signal.SIGINT)

# Numbers of mallopt(3).
MMAP_THRESHOLD, ARENA_MAX = -3, -8

log = logging.getLogger("corepod.operator")


def main(words: Sequence[str]) -> int:
    """The exit code. Ends the process by itself where the words are wrong."""
    chosen = options.parse(words, os.environ)
    _share_memory()
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr, level=logging.INFO, force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        transport = Transport(Credentials(chosen.kubeconfig or None, chosen.context or None), os.environ)
    except ConnectError as error:
        print(f"corepod operator: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    return once(chosen, transport, tell) if chosen.once else Operator(chosen, transport).run()


def _share_memory() -> None:
    """One heap for all threads, that gives back what is large.

    By default the C library gives each thread its own and keeps what a thread has freed: lists of thousands of objects,
    read and copied now by one and then by another, would stay in memory several times.
    """
    with contextlib.suppress(OSError, AttributeError):  # a C library that has no such thing
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(ARENA_MAX, 1)
        mallopt(MMAP_THRESHOLD, 128 << 10)


def tell(words: str) -> None:
    """One line of the log."""
    log.info("%s", words.rstrip())


class Operator:
    """The operator as a service."""

    def __init__(self, chosen: Options, transport: Transport) -> None:
        within = chosen.lease_seconds * leader.WRITE if chosen.leader_elect else 5.0
        cluster = Cluster(transport, min(5.0, within))
        self._wake = Wake()
        self._known = Known(
            cluster, namespace=chosen.namespace, seconds=chosen.watch_seconds, changed=self._wake.call, tell=tell
        )
        identity = _identity()
        self._events = Events(cluster, identity, tell)
        self._lease: Watch[leader.Held] | None = None
        self._elector = self._candidate(chosen, cluster, identity) if chosen.leader_elect else None
        self._actor = Actor(cluster, self._events, tell, self._may, dry=chosen.dry_run)
        self._loop = Loop(self._known, Sizing(chosen.scale_down_wait), self._actor, self._wake, self._may, tell)
        self._publisher: Publisher | None = None
        if chosen.notify is not None and not chosen.dry_run:
            self._publisher = Publisher(cluster, self._known, self._events, chosen.pods_admin_port, self._may, tell)
        quiet = 2 * (chosen.watch_seconds + MARGIN)
        self._parts = report.Parts(
            transport, self._known, self._loop, self._actor, self._events, self._elector, self._publisher, quiet
        )
        self._chosen = chosen

    def run(self) -> int:
        """Until TERM or INT. Returns the exit code."""
        for signum in STOPS:
            signal.signal(signum, self._stop)
        # The command line blocks what came too early.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            self._open()
        except OSError as error:
            print(f"corepod operator: an address can't be bound: {error}", file=sys.stderr)
            return EXIT_BIND
        self._known.start()
        self._events.start()
        if self._publisher:
            self._publisher.start()
        electing = self._elect()
        self._loop.run()
        self._leave(electing)
        return EXIT_OK

    def _may(self) -> bool:
        return not self._loop.stopped and (self._elector is None or self._elector.holds)

    def _stop(self, signum: int, frame: object) -> None:
        if self._loop.stopped:
            os._exit(EXIT_OK)  # a second time: at once
        self._loop.stopped = True
        self._wake.call()

    def _open(self) -> None:
        admin = notify = "none"
        if self._chosen.admin is not None:
            server = Server(self._chosen.admin, self._parts, public=self._chosen.admin_status == "all")
            server.start()
            admin = f"{self._chosen.admin[0]}:{server.server_address[1]}"
        if self._publisher is not None and self._chosen.notify is not None:
            door = Door(self._chosen.notify, self._publisher.knock)
            door.start()
            notify = f"{self._chosen.notify[0]}:{door.port}"
        where = f"namespace {self._chosen.namespace}" if self._chosen.namespace else "all namespaces"
        host = self._parts.transport.host
        tell(f"corepod operator {__version__} for {where} at {host}; admin {admin}, notify {notify}")

    # The lease

    def _candidate(self, chosen: Options, cluster: Cluster, identity: str) -> leader.Elector:
        cache: Cache[leader.Held] = Cache(lambda: elector.poked.set())
        namespace = chosen.lease_namespace or _own_namespace()
        elector = leader.Elector(
            cluster,
            cache,
            namespace=namespace,
            name=chosen.lease_name,
            identity=identity,
            owner=chosen.lease_owner,
            duration=chosen.lease_seconds,
            won=self._wake.call,
            tell=tell,
        )
        self._lease = Watch(
            cluster,
            LEASES,
            leader.read,
            cache,
            namespace=namespace,
            selector={"fieldSelector": f"metadata.name={chosen.lease_name}"},
            seconds=chosen.watch_seconds,
            jitter=random.uniform,
            tell=tell,
        )
        return elector

    def _elect(self) -> threading.Thread | None:
        if self._elector is None or self._lease is None:
            return None
        threading.Thread(target=self._lease.run, name="watch lease", daemon=True).start()
        electing = threading.Thread(target=self._elector.run, name="lease", daemon=True)
        electing.start()
        return electing

    def _leave(self, electing: threading.Thread | None) -> None:
        """Nothing is written any more from here on, so another operator may begin."""
        if electing is not None and self._elector is not None:
            self._elector.stopped = True
            self._elector.poked.set()
            electing.join(LAST_WORDS)
        tell("stopped")


def _identity() -> str:
    """Of this process, not of this pod: a restarted one must not take itself for the one before."""
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"


def _own_namespace() -> str:
    try:
        return NAMESPACE.read_text().strip()
    except OSError:
        return "default"
