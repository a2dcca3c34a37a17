"""Probes while a worker burns the core, and N computing workers over one."""

from __future__ import annotations

import socket
import threading
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import client, host, peers
from loadtest.bench.closed_loop import ClosedLoop
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, arrivals, paired, percentile

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer
    from loadtest.bench.server import Server

PROBES = 50.0  # a second
PROBE_TIME = 6.0  # seconds a round
CONNECTIONS = 8
COMPUTE = 2.0  # seconds a segment


def probes(bench: Bench) -> list[Table]:
    """Latency of /livez while the worker computes for a second a request, back to back, on the supervisor's core;
    beside it what a probe on the application's own port would see."""
    port = _free_port()
    peer = peers.corepod("--admin", f"127.0.0.1:{port}", name="corepod")
    with bench.running(peer) as (server,):
        done = bench.rounds("probes", bench.count(3, 9), lambda number: _probe(server, port, number))
    busy, calm, app = ([latency for r in done.results for latency in r[side]] for side in ("busy", "calm", "app"))
    table = Table(
        "probes",
        "probe answers while the worker burns the core",
        ["probe", "p99 over a calm core", "failed", "p50 (ms)", "p99 (ms)"],
    )
    for name, values, side in (
        ("/livez, calm", calm, "calm"),
        ("/livez, busy", busy, "busy"),
        ("the application's port, busy", app, "app"),
    ):
        failed = sum(r["failed"][side] for r in done.results)
        over = f"{percentile(values, 0.99) / percentile(calm, 0.99):.1f}" if values else "no answer"
        table.add(name, over, failed, *(f"{1000 * percentile(values, share):.2f}" for share in (0.5, 0.99)))
    table.goal("p99, in ms here, at most 10", 1000 * percentile(busy, 0.99), 10)
    table.notes = [f"{len(busy)} probes.", *done.notes]
    return [table]


def _probe(server: Server, port: int, number: int) -> dict[str, Any]:
    times = arrivals(PROBES, PROBE_TIME, seed=number)
    found: dict[str, Any] = {"failed": {}}
    found["calm"], found["failed"]["calm"] = _ask(port, "/livez", times)
    stop = threading.Event()
    # Threads that only wait: each keeps one request under way.
    burners = [threading.Thread(target=_burn, args=(server.port, stop), daemon=True) for _ in range(2)]
    for burner in burners:
        burner.start()
    try:
        found["busy"], found["failed"]["busy"] = _ask(port, "/livez", times)
        found["app"], found["failed"]["app"] = _ask(server.port, "/", times[: len(times) // 10], patience=1.0)
    finally:
        stop.set()
        for burner in burners:
            burner.join(30.0)
    server.settle()
    return found


def _burn(port: int, stop: threading.Event) -> None:
    while not stop.is_set():
        client.get(port, "/burn", timeout=30.0)


def _ask(port: int, path: str, times: list[float], patience: float = 5.0) -> tuple[list[float], int]:
    samples = client.OpenLoop(port, path, times).run(patience)
    good = [sample.latency for sample in samples if sample.outcome == "ok"]
    return good, len(samples) - len(good)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def scaling(bench: Bench) -> list[Table]:
    """Requests a second of N workers that compute, over one. With N cores the client has to share one of them."""
    count = len(host.CORES)
    listed: list[tuple[Peer, Peer]] = [
        (peers.corepod(name="corepod 1"), peers.corepod(name="corepod").of(count)),
        (peers.PRELOAD.of(1, name="gunicorn 1"), peers.PRELOAD.of(count)),
        (peers.UVICORN_ALONE, peers.UVICORN.of(count)),
    ]
    cores = set(host.CORES)

    def one(number: int) -> dict[str, float]:
        found: dict[str, float] = {}
        for server in [*abba(servers, number), *abba(servers, number + 1)]:
            bench.tell(f"scaling {server.name} x {server.peer.workers}")
            found[server.name] = found.get(server.name, 0.0) + _rate(server)
        return found

    with bench.running(*(peer for pair in listed for peer in pair), cores=cores) as servers:
        done = bench.rounds("scaling", bench.count(3, 9), one)
    table = Table(
        "scaling", f"{count} computing workers over one, of {count}", ["server", f"share of {count}", "requests (1/s)"]
    )
    for single, several in listed:
        ratio = paired([r[several.name] / count for r in done.results], [r[single.name] for r in done.results])
        table.add(several.name, ratio, f"{median(r[several.name] for r in done.results) / 2 / COMPUTE:.0f}")
        if several.name == "corepod":
            table.goal("at least 0.95", ratio.value, 0.95, least=True)
    table.notes = done.notes
    return [table]


def _rate(server: Server) -> float:
    load = ClosedLoop(server.port, "/cpu", CONNECTIONS)
    try:
        return float(len(load.run(COMPUTE)))
    finally:
        load.close()
