"""`corepod operator`: assembles its parts, and shuts them down in order when it is asked to stop."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import socket
import sys
import uuid
from typing import TYPE_CHECKING

from corepod import __version__
from corepod.contract import listening
from corepod.contract.exits import EXIT_BIND, EXIT_OK, EXIT_SETTINGS
from corepod.operator import options
from corepod.operator.admin import status
from corepod.operator.admin.server import OperatorServer
from corepod.operator.api import leader
from corepod.operator.api.cluster import Cluster
from corepod.operator.api.election import Election
from corepod.operator.api.errors import ConnectError
from corepod.operator.api.events import Events
from corepod.operator.api.informers import Informers
from corepod.operator.api.reflector import MARGIN
from corepod.operator.api.transport import Credentials, Transport, own_namespace
from corepod.operator.apply import Applier
from corepod.operator.loop import ControlLoop, Wake
from corepod.operator.once import once
from corepod.operator.restarts.publisher import PodSettings, Publisher
from corepod.operator.restarts.receiver import DatagramReceiver
from corepod.operator.sizing.engine import Sizing
from corepod.operator.threads import WatchedThreads

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from corepod.operator.options import Options

RELEASE_TIMEOUT = 9.0  # seconds for releasing the Lease, with a renewal that may be under way
STOPS = (signal.SIGTERM, signal.SIGINT)

# Numbers of mallopt(3).
MMAP_THRESHOLD, ARENA_MAX = -3, -8

logger = logging.getLogger("corepod.operator")


def parser() -> argparse.ArgumentParser:
    """The parser of `corepod operator`, whatever the environment is."""
    return options.parser({})


def main(arguments: Sequence[str]) -> int:
    """Run the operator. Returns the exit code; exits by itself if the arguments are wrong."""
    chosen = options.parse(arguments, os.environ)
    _use_one_heap()
    logging.basicConfig(format="%(asctime)s %(message)s", stream=sys.stderr, level=logging.INFO, force=True)
    logging.getLogger("urllib3").setLevel(logging.ERROR)
    try:
        transport = Transport(Credentials(chosen.kubeconfig or None, chosen.context or None), os.environ)
    except ConnectError as error:
        print(f"corepod operator: {error}", file=sys.stderr)
        return EXIT_SETTINGS
    return once(chosen, transport, log) if chosen.once else Operator(chosen, transport).run()


def _use_one_heap() -> None:
    """Make all threads share one heap that returns large blocks to the system.

    By default the C library gives each thread a heap and keeps freed memory in it. Lists of thousands of objects, which
    are read by one thread and copied by another, would then occupy memory several times.
    """
    with contextlib.suppress(OSError, AttributeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(ARENA_MAX, 1)
        mallopt(MMAP_THRESHOLD, 128 << 10)


def log(line: str) -> None:
    """Write one line to the log."""
    logger.info("%s", line.rstrip())


class Operator:
    """The operator as a long-running process."""

    def __init__(self, chosen: Options, transport: Transport) -> None:
        limits = (chosen.lease_seconds * leader.WRITE,) if chosen.leader_elect else ()
        cluster = Cluster(transport, *limits)
        self._wake = Wake()
        self._informers = Informers(
            cluster, namespaces=chosen.namespace, seconds=chosen.watch_seconds, changed=self._wake.call, log=log
        )
        self._identity = _identity()
        self._events = Events(cluster, self._identity, log)
        self._election = self._election_of(chosen, cluster)
        self._applier = Applier(cluster, self._events, log, self._is_leader, dry=chosen.dry_run)
        self._loop = ControlLoop(
            self._informers, Sizing(chosen.scale_down_wait), self._applier, self._wake, self._is_leader, log
        )
        self._publisher: Publisher | None = None
        if chosen.notify is not None and not chosen.dry_run:
            pods = PodSettings(chosen.pods_admin_port, chosen.restart_label)
            self._publisher = Publisher(cluster, self._informers, self._events, pods, self._is_leader, log)
        self._threads = WatchedThreads(log)
        self._transport, self._chosen = transport, chosen

    def run(self) -> int:
        """Run until TERM or INT. Returns the exit code."""
        for signum in STOPS:
            signal.signal(signum, self._stop)
        # The command line blocks them until here, so that none arrives too early.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPS)
        try:
            self._open()
        except OSError as error:
            print(f"corepod operator: can't bind an address: {error}", file=sys.stderr)
            return EXIT_BIND
        self._informers.start()
        self._events.start(self._threads)
        if self._publisher:
            self._publisher.start(self._threads)
        if self._election:
            self._election.start()
        self._threads.start()
        self._loop.run()
        if self._election:
            # Nothing is written from here on, so another operator may start.
            self._election.leave(RELEASE_TIMEOUT)
        log("stopped")
        return EXIT_OK

    def _is_leader(self) -> bool:
        return not self._loop.stopped and (self._election is None or self._election.elector.is_leader)

    def _stop(self, signum: int, frame: object) -> None:
        if self._loop.stopped:
            os._exit(EXIT_OK)  # the second signal stops at once
        self._loop.stopped = True
        self._wake.call()

    def _open(self) -> None:
        admin = notify = "none"
        receiver = None
        if self._publisher is not None and self._chosen.notify is not None:
            receiver = DatagramReceiver(self._chosen.notify, self._publisher.on_datagrams)
            receiver.start(self._threads)
            notify = receiver.name
        if self._chosen.admin is not None:
            parts = self._parts(receiver)
            server = OperatorServer(self._chosen.admin, parts, public=self._chosen.admin_status == "all")
            server.start()
            admin = listening.name(server.socket)
        where = f"namespace {', '.join(self._chosen.namespace)}" if self._chosen.namespace else "all namespaces"
        log(f"corepod operator {__version__} for {where} at {self._transport.host}; admin {admin}, notify {notify}")

    def _parts(self, receiver: DatagramReceiver | None) -> status.Parts:
        elector = self._election.elector if self._election else None
        quiet = 2 * (self._chosen.watch_seconds + MARGIN)
        known = (self._informers, self._loop, self._applier, self._events, elector)
        return status.Parts(self._transport, *known, self._publisher, receiver, self._threads, quiet)

    def _election_of(self, chosen: Options, cluster: Cluster) -> Election | None:
        if not chosen.leader_elect:
            return None
        return Election(
            cluster,
            namespace=chosen.lease_namespace or own_namespace(),
            name=chosen.lease_name,
            identity=self._identity,
            owner=chosen.lease_owner,
            duration=chosen.lease_seconds,
            watch_seconds=chosen.watch_seconds,
            won=self._wake.call,
            log=log,
        )


def _identity() -> str:
    """Identity of this process, not of its pod: a restarted process must not take itself for its predecessor."""
    return f"{socket.gethostname()}_{uuid.uuid4().hex[:8]}"
