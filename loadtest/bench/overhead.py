"""B6: what supervision adds to each request. B12: the second request on a connection."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import peers
from loadtest.bench.closed_loop import ClosedLoop, second_requests
from loadtest.bench.load import Meter
from loadtest.bench.report import Table
from loadtest.bench.stats import Ratio, abba, paired, percentile

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

CONNECTIONS = 32
WARM, SEGMENT = 0.4, 0.8  # seconds
BARE, AGAIN, OURS = "hypercorn", "hypercorn again", "corepod, armed"
CONTEXT = (peers.UVICORN_ALONE, peers.PRELOAD, peers.GRANIAN)  # shown beside, no goal hangs on them


def steady(bench: Bench) -> list[Table]:
    """B6. Servers are new in every round: two processes of one program differ by their memory's layout alone."""
    listed = [peers.HYPERCORN, peers.corepod(), peers.HYPERCORN.of(1, name=AGAIN)]
    listed += CONTEXT

    def one(number: int) -> dict[str, list[Segment]]:
        with bench.running(*abba(listed, number)) as servers:
            bench.tell("b6 load")
            for server in servers:
                _segment(server, WARM)
            found: dict[str, list[Segment]] = {server.name: [] for server in servers}
            for server in [*servers, *reversed(servers)]:
                found[server.name].append(_segment(server, SEGMENT))
            return found

    done = bench.rounds("b6", bench.count(7, 21), one)
    rates, costs, tails, busy = (
        {peer.name: [figure(r[peer.name]) for r in done.results] for peer in listed}
        for figure in (_rate, _cost, _tail, _busy)
    )
    table = Table(
        "b6",
        "steady load over bare hypercorn, 32 connections",
        ["server", "requests/s", "CPU a request", "p99", "requests (1/s)", "p99 (ms)"],
    )
    for peer in listed:
        name = peer.name
        cells: list[Ratio | str] = [paired(side[name], side[BARE]) for side in (rates, costs, tails)]
        if max(busy[name]) > 0.85:
            cells[0] = f"> {cells[0]}"
            table.notes.append(
                f"{name}: the client's core was {max(busy[name]):.0%} busy, so the client limits its rate."
            )
        table.add(name, *cells, f"{median(rates[name]):.0f}", f"{1000 * median(tails[name]):.2f}")
    both = {
        side: [(a + b) / 2 for a, b in zip(figure[BARE], figure[AGAIN], strict=True)]
        for side, figure in (("rate", rates), ("cost", costs), ("tail", tails))
    }
    table.goal(
        "requests/s over the mean of both bare ones at least 0.98",
        paired(rates[OURS], both["rate"]).value,
        0.98,
        least=True,
    )
    table.goal(
        "CPU a request over the mean of both bare ones at most 1.02", paired(costs[OURS], both["cost"]).value, 1.02
    )
    spread = paired(tails[AGAIN], tails[BARE])
    table.goal(
        f"p99 inside the spread of bare over bare, {spread}", paired(tails[OURS], both["tail"]).value, spread.high
    )
    table.notes = [f"Median of {len(done.results)} rounds.", *table.notes, *done.notes]
    return [table]


@dataclass(frozen=True)
class Segment:
    """One server under load for a while."""

    latencies: list[float]
    cpu: float  # seconds that all its processes used
    seconds: float
    client: float  # share of its core that the client used


def _segment(server: Server, seconds: float) -> Segment:
    load = ClosedLoop(server.port, "/", CONNECTIONS)
    try:
        meter, cpu = Meter(), server.cpu()
        latencies = load.run(seconds)
        return Segment(latencies, server.cpu() - cpu, seconds, meter.stop().client)
    finally:
        load.close()


def _rate(segments: list[Segment]) -> float:
    return sum(len(s.latencies) for s in segments) / sum(s.seconds for s in segments)


def _cost(segments: list[Segment]) -> float:
    return sum(s.cpu for s in segments) / sum(len(s.latencies) for s in segments)


def _tail(segments: list[Segment]) -> float:
    return percentile([latency for s in segments for latency in s.latencies], 0.99)


def _busy(segments: list[Segment]) -> float:
    return max(s.client for s in segments)


def keep_alive(bench: Bench) -> list[Table]:
    """B12."""
    with bench.running(peers.HYPERCORN, peers.corepod(), peers.UVICORN, peers.PRELOAD, peers.GRANIAN) as servers:
        done = bench.rounds(
            "b12",
            bench.count(7, 21),
            lambda number: {s.name: second_requests(s.port, "/", 100) for s in abba(servers, number)},
        )
    p50 = {s.name: [median(r[s.name]) for r in done.results] for s in servers}
    table = Table(
        "b12", "second request on a connection, over hypercorn with its own socket", ["server", "p50", "p50 (ms)"]
    )
    for name, values in p50.items():
        table.add(name, paired(values, p50[BARE]), f"{1000 * median(values):.2f}")
    table.goal("at most 1.05", paired(p50[OURS], p50[BARE]).value, 1.05)
    table.notes = done.notes
    return [table]
