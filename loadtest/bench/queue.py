"""B8, B9: how workers share the queue of new connections, when all requests are of one kind: waiting times under
open-loop load, and fairness."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from statistics import mean, median
from typing import TYPE_CHECKING, Any

from loadtest.balance import busiest_over_idlest
from loadtest.bench import host, peers
from loadtest.bench.client import OpenLoop
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, arrivals, one_queue, percentile, pooled, split_queues

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer
    from loadtest.bench.server import Server

SERVICE = 0.010  # seconds a request takes
BASE = peers.REUSEPORT.name
WAYS = {way: f"corepod, {way}" for way in ("gate", "one", "batch")}  # to accept
DEFAULT = WAYS["gate"]
BESIDE = (peers.UVICORN, peers.PRELOAD)  # no worse than these
QUICK_SECONDS, THOROUGH_SECONDS = 3.0, 5.0  # of load, for each server in each round


@dataclass(frozen=True)
class Case:
    """One kind of handler at one load. `load` is the share of the time that each worker is busy."""

    path: str
    title: str
    workers: int
    load: float
    goal: float | None = None  # p99 of the default over SO_REUSEPORT

    @property
    def key(self) -> str:
        return f"b8{self.path.replace('/', '-')}-{self.workers}-{round(100 * self.load)}"

    def times(self, seconds: float, number: int) -> list[float]:
        """The arrivals of round `number`."""
        return arrivals(self.load * self.workers / SERVICE, seconds, seed=number)


USUAL = (
    Case("/block", "blocking handlers", 2, 0.7, 0.4),
    Case("/block", "blocking handlers", 4, 0.7, 0.25),
    Case("/thread", "threaded handlers on 2 cores", 2, 0.7, 0.45),
    Case("/wait", "asynchronous handlers", 2, 0.7),
)
MORE = tuple(Case("/block", "blocking handlers", workers, load) for workers in (2, 4) for load in (0.5, 0.85))


def queues(bench: Bench) -> list[Table]:
    """B8 and B9. Blocked workers need no core of their own, so 4 of them fit beside a client on 2 cores; threads that
    compute do: they get all cores, and share one with the client, which costs little."""
    return [_compare(bench, case) for case in (*USUAL, *(MORE if bench.thorough else ()))]


def _listed(case: Case) -> list[Peer]:
    # On one core pinning would refuse a second worker.
    pin = ("--pin", "always" if case.path == "/thread" else "never")
    listed = [peers.corepod("--accept", way, *pin, name=name).of(case.workers) for way, name in WAYS.items()]
    listed.append(peers.REUSEPORT.of(case.workers))
    if case.path == "/wait":
        return listed
    return [*listed, *(peer.of(case.workers) for peer in (*BESIDE, peers.GRANIAN))]


def _compare(bench: Bench, case: Case) -> Table:
    seconds = THOROUGH_SECONDS if bench.thorough else QUICK_SECONDS
    listed = _listed(case)

    def one(number: int) -> dict[str, Any]:
        times = case.times(seconds, number)
        found: dict[str, Any] = {}
        for server in abba(servers, number):
            bench.tell(f"{case.key} {server.name}")
            found[server.name] = _measure(server, case.path, times)
        if case.path != "/wait":
            found["one queue (simulated)"] = {"latencies": one_queue(times, SERVICE, case.workers)}
            found["random queues (simulated)"] = {"latencies": split_queues(times, SERVICE, case.workers, number)}
        return found

    with bench.running(*listed, cores=set(host.CORES) if case.path == "/thread" else host.SERVER) as servers:
        done = bench.rounds(case.key, bench.count(3, 5), one)
    table = table_of(case, done.results)
    table.notes += done.notes
    return table


def _measure(server: Server, path: str, times: list[float]) -> dict[str, Any]:
    samples = OpenLoop(server.port, path, times).run(10.0)
    good = [sample for sample in samples if sample.outcome == "ok"]
    return {
        "latencies": [sample.latency for sample in good],
        "shares": Counter(sample.body.decode() for sample in good),
        "failed": len(samples) - len(good),
    }


def table_of(case: Case, results: list[dict[str, Any]]) -> Table:
    title = f"{case.title}, {case.workers} workers, {case.load:.0%} load: queue and handler, over SO_REUSEPORT workers"
    table = Table(case.key, title, ["server", "mean", "p99", "busiest / idlest", "failed", "p99 (ms)"])
    rounds = {name: [result[name]["latencies"] for result in results] for name in results[0]}
    means = {name: mean(latency for one in rounds[name] for latency in one) for name in rounds}
    tails = {name: pooled(rounds[name], rounds[BASE], 0.99) for name in rounds}
    imbalances: dict[str, float] = {}
    for name in sorted(rounds, key=lambda name: ("simulated" in name, "corepod" not in name, name != DEFAULT, name)):
        cells: list[object] = ["-", "-"]
        if "simulated" not in name:
            imbalances[name] = median(
                busiest_over_idlest(list(r[name]["shares"].values()), case.workers) for r in results
            )
            cells = [f"{imbalances[name]:.2f}", sum(r[name]["failed"] for r in results)]
        absolute = 1000 * percentile([latency for one in rounds[name] for latency in one], 0.99)
        table.add(name, f"{means[name] / means[BASE]:.2f}", tails[name], *cells, f"{absolute:.1f}")
    if case.goal is not None:
        table.goal(f"p99 of the default at most {case.goal}", tails[DEFAULT].value, case.goal)
        for peer in BESIDE:
            ratio = pooled(rounds[DEFAULT], rounds[peer.name], 0.99)
            table.goal(f"p99 of the default over that of {peer.name} at most 1", ratio.value, 1.0)
        table.goal("busiest over idlest at most 1.2", imbalances[DEFAULT], 1.2)
    table.notes = [f"{sum(map(len, rounds[DEFAULT]))} requests to each in {len(results)} rounds."]
    return table
