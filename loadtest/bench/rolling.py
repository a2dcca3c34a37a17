"""B10: reloads, and workers that are recycled, under a steady load of new and kept connections."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from loadtest.bench import peers
from loadtest.bench.client import OpenLoop
from loadtest.bench.kept_loop import KeptOpenLoop
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, arrivals, percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from loadtest.bench.client import Sample
    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer
    from loadtest.bench.server import Server

RATE = 150.0  # requests a second on new connections, and as many on kept ones
KEPT = 32  # connections
EVERY = 5.0  # seconds between two reloads
RECYCLE = 300  # requests after which a worker makes way for a new one
PATH = "/wait"  # takes a moment, so that requests are in flight whenever something happens
PATIENCE = 5.0  # seconds after which a request without an answer has failed
SETTLE = 60.0  # seconds that the command of a reload may take


@dataclass
class Run:
    """What became of the requests of one run."""

    fresh: list[Sample]
    kept: list[Sample]

    def failed(self) -> int:
        return sum(sample.outcome != "ok" for sample in [*self.fresh, *self.kept])

    def latencies(self) -> list[float]:
        return [sample.latency for sample in [*self.fresh, *self.kept] if sample.outcome == "ok"]


def reloads(bench: Bench) -> list[Table]:
    """B10."""
    listed: list[tuple[Peer, Callable[[Server], None]]] = [
        (peers.corepod("--pin", "never").of(2), _hup),
        (peers.GUNICORN.of(2), _hup),
        (peers.UVICORN, _hup),
        (peers.GRANIAN.of(2), _hup),
    ]
    listed += [(peer.of(2), _pm2_reload) for peer in peers.pm2()]
    title = f"a reload every {EVERY:g} s under {2 * RATE:g} requests a second, half of them on kept connections"
    return [_compare(bench, "b10", title, listed)]


def recycling(bench: Bench) -> list[Table]:
    """Each worker makes way after a number of requests."""
    count = str(RECYCLE)
    listed = [
        peers.corepod("--pin", "never", "--max-requests", count).of(2),
        peers.GUNICORN.of(2, "--max-requests", count),
        peers.UVICORN.of(2, "--limit-max-requests", count),
    ]
    title = f"each worker recycled after {RECYCLE} of {2 * RATE:g} requests a second, half of them on kept connections"
    return [_compare(bench, "b10-recycle", title, [(peer, None) for peer in listed], plain=_without_limit)]


def _without_limit(peer: Peer) -> Peer:
    """The same server whose workers stay: the number is the last flag."""
    return replace(peer, flags=(*peer.flags[:-1], str(10**9)))


def _compare(
    bench: Bench,
    key: str,
    title: str,
    listed: Sequence[tuple[Peer, Callable[[Server], None] | None]],
    plain: Callable[[Peer], Peer] = lambda peer: peer,
) -> Table:
    seconds = 60.0 if bench.thorough else 20.0
    table = Table(key, title, ["server", "failed", "of requests", "p99 over its own without", "p99 (ms)"])
    for peer, act in listed:
        done = bench.rounds(
            f"{key} {peer.name}",
            bench.count(1, 3),
            partial(_both, bench, peer, plain(peer), act, seconds),
        )
        quiet = [value for one, _ in done.results for value in one.latencies()]
        busy = [value for _, one in done.results for value in one.latencies()]
        failed = sum(one.failed() for _, one in done.results)
        requests = sum(len(one.fresh) + len(one.kept) for _, one in done.results)
        ratio = percentile(busy, 0.99) / percentile(quiet, 0.99)
        table.add(peer.name, failed, requests, f"{ratio:.2f}", f"{1000 * percentile(busy, 0.99):.1f}")
        if peer.name.startswith("corepod"):
            table.goal("failed requests of corepod at most 0", failed, 0)
            table.goal("its p99 over its own without at most 1.5", ratio, 1.5)
        table.notes += done.notes
    return table


def _both(
    bench: Bench, peer: Peer, plain: Peer, act: Callable[[Server], None] | None, seconds: float, number: int
) -> tuple[Run, Run]:
    """The same requests while nothing else happens, and while it does."""
    runs: dict[bool, Run] = {}
    for busy in abba([False, True], number):
        with bench.running(peer if busy else plain) as (server,):
            runs[busy] = _run(server, seconds, act if busy else None)
    return runs[False], runs[True]


def _run(server: Server, seconds: float, act: Callable[[Server], None] | None) -> Run:
    acts: list[tuple[float, Callable[[], None]]] = []
    if act is not None:
        # The act takes time, and the load must not wait for it.
        acts = [
            (at * EVERY, lambda: threading.Thread(target=act, args=(server,), daemon=True).start())
            for at in range(1, int(seconds / EVERY))
        ]
    kept = KeptOpenLoop(server.port, PATH, arrivals(RATE, seconds, seed=2), KEPT)
    found: list[Sample] = []
    other = threading.Thread(target=lambda: found.extend(kept.run(PATIENCE)))
    other.start()
    fresh = OpenLoop(server.port, PATH, arrivals(RATE, seconds, seed=1), acts).run(PATIENCE)
    other.join()
    return Run(fresh, found)


def _hup(server: Server) -> None:
    os.kill(server.pid, signal.SIGHUP)


def _pm2_reload(server: Server) -> None:
    command = [str(peers.PM2), "reload", "all"]
    env = {**os.environ, **peers.pm2_env(server.port)}
    subprocess.run(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=SETTLE, check=False)
