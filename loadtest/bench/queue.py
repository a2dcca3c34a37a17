"""B8, B9: how workers share the queue of new connections: waiting times under open-loop load, and fairness."""

from __future__ import annotations

from collections import Counter
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.client import OpenLoop
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, arrivals, one_queue, percentile, pooled, skew, split_queues

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer, Server

SERVICE = 0.010  # seconds a request takes
BASE = peers.REUSEPORT.name
GATE = "corepod, gate"
CLIENT_NICE = -10
CASES = (
    # handler, workers, loads, what is special
    ("/block", 2, (0.5, 0.7, 0.85), "blocking handlers, 2 workers"),
    ("/block", 4, (0.5, 0.7, 0.85), "blocking handlers, 4 workers"),
    ("/thread", 2, (0.7,), "threaded handlers, 2 workers on 2 cores"),
    ("/wait", 2, (0.7,), "asynchronous handlers, 2 workers"),
)


def queues(bench: Bench) -> list[Table]:
    """B8 and B9. Blocked workers need no core of their own, so 4 of them fit beside a client on 2 cores; threads that
    compute do: they get all cores, and the client, which costs little, a better priority."""
    tables = []
    for path, workers, loads, title in CASES:
        for load in loads if bench.thorough else (0.7,):
            tables += _case(bench, path, workers, load, title)
    return tables


def _listed(path: str, workers: int) -> list[Peer]:
    # On one core pinning would refuse a second worker.
    computing = path == "/thread"
    flags = ("--pin", "auto" if computing else "never")
    listed = [
        peers.corepod("--accept", how, *flags, name=f"corepod, {how}").of(workers) for how in ("gate", "one", "batch")
    ]
    listed.append(peers.REUSEPORT.of(workers))
    if path == "/wait":
        return listed
    return [*listed, peers.PRELOAD.of(workers), peers.UVICORN.of(workers), peers.GRANIAN.of(workers)]


def _case(bench: Bench, path: str, workers: int, load: float, title: str) -> list[Table]:
    key = f"b8{path.replace('/', '-')}-{workers}-{round(100 * load)}"
    seconds = bench.count(3, 8) * 1.0
    listed = _listed(path, workers)
    cores = set(host.CORES) if path == "/thread" else host.SERVER

    def one(number: int) -> dict[str, Any]:
        times = arrivals(load * workers / SERVICE, seconds, seed=number)
        found = {}
        for server in abba(servers, number):
            bench.tell(f"{key} {server.name}")
            found[server.name] = _measure(server, path, times)
        return found

    with bench.running(*listed, cores=cores) as servers:
        done = bench.rounds(key, bench.count(3, 9), one)
    return _tables(key, title, workers, load, seconds, [peer.name for peer in listed], done)


def _measure(server: Server, path: str, times: list[float]) -> dict[str, Any]:
    meter = host.Meter()
    with host.priority(CLIENT_NICE):
        samples = OpenLoop(server.port, path, times).run(10.0)
    good = [sample for sample in samples if sample.outcome == "ok"]
    return {
        "latencies": [sample.latency for sample in good],
        "shares": Counter(sample.body.decode() for sample in good),
        "failed": len(samples) - len(good),
        "client": meter.stop().client,
    }


def _tables(
    key: str, title: str, workers: int, load: float, seconds: float, names: list[str], done: Any
) -> list[Table]:
    rounds = {name: [r[name]["latencies"] for r in done.results] for name in names}
    stays = {name: [latency for one in rounds[name] for latency in one] for name in names}
    theory = {"one queue (simulated)": list[float](), "random queues (simulated)": list[float]()}
    for number in range(len(done.results)):
        times = arrivals(load * workers / SERVICE, seconds, seed=number)
        theory["one queue (simulated)"] += one_queue(times, SERVICE, workers)
        theory["random queues (simulated)"] += split_queues(times, SERVICE, workers, number)
    table = Table(
        key,
        f"{title}, {load:.0%} load: time in queue and handler, over SO_REUSEPORT workers",
        ["server", "mean", "p99", "busiest / idlest", "failed", "p99 (ms)"],
    )
    base_mean = mean(stays[BASE])
    skews = {name: median(skew(list(r[name]["shares"].values()), workers) for r in done.results) for name in names}
    for name, values in stays.items():
        failed = sum(r[name]["failed"] for r in done.results)
        table.add(
            name,
            f"{mean(values) / base_mean:.2f}",
            pooled(rounds[name], rounds[BASE], 0.99),
            f"{skews[name]:.2f}",
            failed,
            f"{1000 * percentile(values, 0.99):.1f}",
        )
    for name, values in theory.items():
        table.add(
            name,
            f"{mean(values) / base_mean:.2f}",
            f"{percentile(values, 0.99) / percentile(stays[BASE], 0.99):.2f}",
            "-",
            "-",
            f"{1000 * percentile(values, 0.99):.1f}",
        )
    if load == 0.7 and "asynchronous" not in title:
        most = 0.7 if "threaded" in title else 0.6
        table.goal(
            f"p99 of the gate at most {most}", percentile(stays[GATE], 0.99) / percentile(stays[BASE], 0.99), most
        )
        table.goal("busiest over idlest at most 1.2", skews[GATE], 1.2)
    table.notes = [f"{len(stays[GATE])} requests to each in {len(done.results)} rounds.", *done.notes]
    return [table]
