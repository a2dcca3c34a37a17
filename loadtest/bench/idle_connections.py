"""B6: the memory of an idle connection."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import held, host
from loadtest.bench.overhead import BARE, GRANIAN, H11, OURS, UVICORN
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

WANTED = 10_000
WARM = 500  # connections before, so that what any connection needs once isn't counted
STAY = "600"  # seconds; else servers close the first of them before the last one is there
LISTED = (
    OURS.of(1, "--keep-alive", STAY),
    UVICORN.of(1, "--timeout-keep-alive", STAY, "--backlog", "2048"),
    H11.of(1, "--keep-alive", STAY),
    BARE.of(1, "--keep-alive", STAY),
    GRANIAN.of(1, "--backpressure", "20000"),  # else it takes no more than a thousand
)
GOAL = 0.8

Growth = dict[str, dict[str, float]]  # server, then "pss" or "rss": bytes a connection


def idle(bench: Bench) -> list[Table]:
    """Growth of the worker while connections that have had one answer stay open. A new server in each round: what it
    has grown to once, it keeps."""
    count = held.possible(WANTED)

    def one(number: int) -> Growth:
        found = {}
        for peer in abba(LISTED, number):
            bench.tell(f"b6-idle {peer.name}")
            with bench.running(peer) as (server,):
                found[peer.name] = _growth(server, count)
        return found

    done = bench.rounds("b6-idle", bench.count(2, 5), one)
    table = table_of(done.results, count)
    table.notes += done.notes
    return [table]


def _growth(server: Server, count: int) -> dict[str, float]:
    with held.idle(server.port, WARM):
        pass
    server.settle()
    (worker,) = server.workers()
    before = (host.pss(worker), host.rss(worker))
    with held.idle(server.port, count):
        server.settle()
        after = (host.pss(worker), host.rss(worker))
    pss, rss = ((end - start) / count for start, end in zip(before, after, strict=True))
    return {"pss": pss, "rss": rss}


def table_of(results: Sequence[Growth], count: int) -> Table:
    """Over uvicorn."""
    columns = ["server", "PSS a connection", "RSS a connection", "PSS (B)", "RSS (B)"]
    table = Table("b6-idle", f"{count} idle connections over uvicorn", columns)
    for name in results[0]:
        ratios = [paired(_side(results, name, side), _side(results, UVICORN.name, side)) for side in ("pss", "rss")]
        table.add(name, *ratios, *(f"{median(_side(results, name, side)):.0f}" for side in ("pss", "rss")))
        if name == OURS.name:
            table.goal(f"PSS a connection at most {GOAL}", ratios[0].value, GOAL)
    if count < WANTED:
        table.notes.append(f"A process may open no more than {count + held.RESERVE} files here.")
    return table


def _side(results: Sequence[Mapping[str, Mapping[str, float]]], name: str, side: str) -> list[float]:
    return [result[name][side] for result in results]
