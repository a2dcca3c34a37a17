"""B8: short requests while the same workers have something else to do."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.background import Arrivals, Clients, settled
from loadtest.bench.client import OpenLoop
from loadtest.bench.closed_loop import ClosedLoop
from loadtest.bench.held import Held, Slow
from loadtest.bench.kept_loop import KeptOpenLoop
from loadtest.bench.mixture_tables import Mixed, Short, mixture_tables, short_table
from loadtest.bench.queue import SERVICE, WAYS
from loadtest.bench.stats import abba, arrivals

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.report import Table
    from loadtest.bench.server import Server

WORKERS = 2
PATIENCE = 10.0  # seconds; what fails counts as having taken so long
# All cores, one of them shared with the client, which costs little. No pool is pinned: the others may move away from
# the client's core, too. All loops are asyncio's, but where the name says so.
ASYNCIO, UVLOOP = ("--loop", "asyncio"), ("--loop", "uvloop")
LISTED = (
    *(peers.corepod("--accept", way, "--pin", "never", name=name).of(WORKERS) for way, name in WAYS.items()),
    peers.corepod("--pin", "never", *UVLOOP, name="corepod, uvloop").of(WORKERS),
    peers.UVICORN.of(WORKERS, *ASYNCIO),
    peers.UVICORN.of(WORKERS, *UVLOOP, name="uvicorn, uvloop"),
    *(peer.of(WORKERS) for peer in (peers.PRELOAD, peers.REUSEPORT)),
)
COMPUTING = 4  # clients
CLOSED, OPEN = 2.0, 2.5  # seconds of short requests
RATE = 60.0  # short requests a second in open loop

Other = Callable[[int, float, int], Any]  # what goes on besides, of a port, seconds and the number of the round


def clients(path: str, count: int, *, kept: bool = False) -> Other:
    return lambda port, seconds, number: Clients(port, path, count, kept=kept)


def arriving(path: str, load: float) -> Other:
    """Arrivals that keep each worker busy for this share of the time."""

    def start(port: int, seconds: float, number: int) -> Arrivals:
        return Arrivals(port, path, arrivals(load * WORKERS / SERVICE, seconds, seed=1000 + number))

    return start


def silent(count: int) -> Other:
    return lambda port, seconds, number: Held(port, count)


def slow(count: int) -> Other:
    """A byte of the head every 0.1 s, and a whole request every few seconds."""
    return lambda port, seconds, number: Slow(port, count, every=0.1)


@dataclass(frozen=True)
class Mixture:
    """Short requests, and what goes on besides."""

    title: str
    others: tuple[Other, ...]
    kept: bool = False  # the connections of the short ones


MIXTURES = (
    Mixture("4 computing, kept", (clients("/thread", 4, kept=True),)),
    Mixture("4 computing, all kept", (clients("/thread", 4, kept=True),), kept=True),
    Mixture("computing at 50%", (arriving("/thread", 0.5),)),
    Mixture("4 blocking", (clients("/block", 4),)),
    Mixture("blocking at 50%", (arriving("/block", 0.5),)),
    Mixture("16 waiting, kept", (clients("/wait", 16, kept=True),)),
    Mixture("500 silent, 100 slow", (silent(500), slow(100))),
    Mixture(
        "all kinds",
        (arriving("/thread", 0.2), arriving("/block", 0.2), clients("/wait", 8, kept=True), silent(100), slow(100)),
    ),
)
MIXED_RATE = 100.0  # short requests a second
QUICK_SECONDS, THOROUGH_SECONDS = 1.5, 2.5


def short(bench: Bench) -> list[Table]:
    """Beside four clients that compute in threads, everything on new connections: how many short requests get through,
    and how long they take when they come at a rate that any server can bear."""

    def one(number: int) -> dict[str, Short]:
        found = {}
        for server in abba(servers, number):
            bench.tell(f"b8-short {server.name}")
            found[server.name] = _short(server, number)
            server.settle()
        return found

    with bench.running(*LISTED, cores=set(host.CORES)) as servers:
        done = bench.rounds("b8-short", bench.count(3, 7), one)
    table = short_table(done.results)
    table.notes += done.notes
    return [table]


def _short(server: Server, number: int) -> Short:
    with (
        Clients(server.port, "/long", COMPUTING) as computing,
        contextlib.closing(ClosedLoop(server.port, "/", COMPUTING, fresh=True)) as load,
    ):
        settled()
        before = computing.answered
        answered = len(load.run(CLOSED))
        computed = computing.answered - before
        latencies = _open(OpenLoop(server.port, "/", arrivals(RATE, OPEN, seed=number)))
        failed = computing.failed
    return Short(answered / CLOSED, computed / CLOSED, latencies, failed)


def _open(load: OpenLoop) -> list[float]:
    return [sample.latency if sample.outcome == "ok" else PATIENCE for sample in load.run(PATIENCE)]


def mixed(bench: Bench) -> list[Table]:
    """Every mixture, with short requests in open loop."""
    seconds = THOROUGH_SECONDS if bench.thorough else QUICK_SECONDS

    def one(number: int) -> dict[str, dict[str, Mixed]]:
        found: dict[str, dict[str, Mixed]] = {}
        for mixture in MIXTURES:
            found[mixture.title] = {}
            for server in abba(servers, number):
                bench.tell(f"b8-mix {mixture.title[:30]} {server.name}")
                found[mixture.title][server.name] = _mixed(server, mixture, seconds, number)
                server.settle()
        return found

    with bench.running(*LISTED, cores=set(host.CORES)) as servers:
        done = bench.rounds("b8-mix", bench.count(2, 7), one)
    tables = mixture_tables(done.results)
    tables[0].notes += done.notes
    return tables


def _mixed(server: Server, mixture: Mixture, seconds: float, number: int) -> Mixed:
    times = arrivals(MIXED_RATE, seconds, seed=number)
    with contextlib.ExitStack() as stack:
        load = KeptOpenLoop(server.port, "/", times, 8) if mixture.kept else OpenLoop(server.port, "/", times)
        others = [stack.enter_context(other(server.port, seconds + 0.2, number)) for other in mixture.others]
        settled()
        counting = [other for other in others if isinstance(other, Clients)]
        before = sum(other.answered for other in counting)
        latencies = _open(load)
        answered = sum(other.answered for other in counting) - before
    failed = sum(other.failed for other in others if not isinstance(other, Held))
    return Mixed(latencies, answered if counting else None, failed)
