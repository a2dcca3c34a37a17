"""B6: what a request costs beside other servers. B12: the second request on a connection."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import host, peers
from loadtest.bench.closed_loop import second_requests
from loadtest.bench.cost import Pair, Stage, Work, compare, measure
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.bench.harness import Bench

SERVER, ALL = frozenset(host.SERVER), frozenset(host.CORES)
UVICORN, UVICORN_UVLOOP, GRANIAN, BARE = peers.UVICORN_ASYNCIO, peers.UVICORN_UVLOOP, peers.GRANIAN, peers.HYPERCORN
OURS = peers.corepod(name="corepod")
UVLOOP = peers.corepod("--loop", "uvloop", name="corepod, uvloop")
H11 = peers.corepod("--http", "h11", name="corepod, http = h11")

STARLETTE, JSON, POST = "Starlette", "FastAPI JSON", "10 kB POST"
KEEP = (
    Stage(
        (OURS, UVICORN, UVLOOP, UVICORN_UVLOOP, GRANIAN, H11, BARE, peers.PRELOAD),
        (Work(STARLETTE), Work(POST, "/post", body=bytes(10_000))),
        SERVER,
    ),
    Stage(
        tuple(peer.serving(peers.JSON_APP) for peer in (OURS, UVICORN, UVLOOP, UVICORN_UVLOOP, GRANIAN)),
        (Work(JSON, "/items/7"),),
        SERVER,
    ),
)
KEEP_PAIRS = (
    Pair(OURS.name, UVICORN.name, {STARLETTE: 0.9, JSON: 0.9, POST: 0.9}),
    Pair(UVLOOP.name, UVICORN_UVLOOP.name, {STARLETTE: 1.0, JSON: 1.0, POST: 1.0}),
    Pair(UVLOOP.name, GRANIAN.name, {STARLETTE: 1.3}),
    Pair(peers.PRELOAD.name, UVICORN_UVLOOP.name),
    Pair(H11.name, UVICORN.name),
    Pair(H11.name, BARE.name),
)

ONE, TWO = "one worker", "two workers"
OURS_2, UVICORN_2 = OURS.of(2, "--pin", "always"), peers.UVICORN.of(2, "--loop", "asyncio", name=UVICORN.name)
BATCH_2 = OURS_2.of(2, "--accept", "batch", name="corepod, accept = batch")
NEW = (
    Stage((OURS, UVICORN, H11, BARE), (Work(ONE, fresh=True),), SERVER),
    Stage((OURS_2, UVICORN_2, BATCH_2), (Work(TWO, fresh=True),), ALL),
)
NEW_PAIRS = (
    Pair(OURS.name, UVICORN.name, {ONE: 1.1, TWO: 1.5}),
    Pair(BATCH_2.name, UVICORN.name),
    Pair(H11.name, UVICORN.name),
    Pair(H11.name, BARE.name),
)

# In a pod a worker writes its lines itself; the supervisor of a local pool relays them.
POD = peers.corepod("--lame-duck", "0", command="pid1", name="corepod pid1")
POD_LOGGED = POD.of(1, "--access-log", name="corepod pid1, access log")
# As many as a pod gets in a namespace with nine Services.
CROWDED = POD_LOGGED.with_env(**{f"BENCH_SERVICE_{number}_PORT": "tcp://10.0.0.1:8000" for number in range(60)})
CROWDED = CROWDED.of(1, name="corepod pid1, access log, 60 variables more")
LOGGED = OURS.of(1, "--access-log", name="corepod run, access log")
UVICORN_LOGGED = UVICORN.of(1, "--access-log", "--log-level", "info", name="uvicorn, access log")
LOG = (Stage((POD, POD_LOGGED, CROWDED, LOGGED, UVICORN_LOGGED, UVICORN), (Work(STARLETTE),), SERVER),)
LOG_PAIRS = (
    Pair(POD_LOGGED.name, POD.name, {STARLETTE: 1.3}),
    Pair(CROWDED.name, POD.name, {STARLETTE: 1.3}),
    Pair(LOGGED.name, POD.name),
    Pair(UVICORN_LOGGED.name, UVICORN.name),
    Pair(POD_LOGGED.name, UVICORN_LOGGED.name),
)


def kept(bench: Bench) -> list[Table]:
    """B6, requests on connections that stay."""
    return _costs(bench, "b6-keep", "32 connections kept alive", KEEP, KEEP_PAIRS)


def fresh(bench: Bench) -> list[Table]:
    """B6, a new connection for each request. Two workers get all cores, and share one with the client."""
    return _costs(bench, "b6-new", "a new connection for each request", NEW, NEW_PAIRS)


def logged(bench: Bench) -> list[Table]:
    """B6, with a line in the access log for each request."""
    return _costs(bench, "b6-log", "with an access log, over without", LOG, LOG_PAIRS)


def _costs(bench: Bench, key: str, title: str, stages: Sequence[Stage], pairs: Sequence[Pair]) -> list[Table]:
    done = bench.rounds(key, bench.count(3, 15), lambda number: measure(bench, key, stages))
    table = compare(key, title, pairs, done.results)
    table.notes = [f"Median of {len(done.results)} rounds.", *table.notes, *done.notes]
    return [table]


def keep_alive(bench: Bench) -> list[Table]:
    """B12."""
    with bench.running(BARE, OURS, peers.UVICORN, peers.PRELOAD, peers.GRANIAN) as servers:
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
        table.add(name, paired(values, p50[BARE.name]), f"{1000 * median(values):.2f}")
    table.goal("at most 1.05", paired(p50[OURS.name], p50[BARE.name]).value, 1.05)
    table.notes = done.notes
    return [table]
