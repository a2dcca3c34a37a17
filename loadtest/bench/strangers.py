"""B6: a good request behind connections that say nothing, or half of a head."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import client, peers
from loadtest.bench.held import HALF_HEAD, Held
from loadtest.bench.overhead import H11, OURS
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

COUNT, WORKERS, TRIES = 1000, 2, 7
KINDS = {"silent": b"", "half heads": HALF_HEAD}
BASE = peers.UVICORN.name
# Workers share the server's core, so that the client, which opens the connections, can't delay the request by itself.
LISTED = (
    OURS.of(WORKERS, "--pin", "never"),
    peers.UVICORN,
    peers.PRELOAD.of(WORKERS),
    H11.of(WORKERS, "--pin", "never"),
    peers.corepod("--pin", "never", "--accept", "batch", name="corepod, accept = batch").of(WORKERS),
)

Delays = dict[str, dict[str, float]]  # kind, then server: seconds, the median of the tries


def behind(bench: Bench) -> list[Table]:
    """The request is sent as soon as the last of them is connected."""

    def one(number: int) -> Delays:
        found: Delays = {}
        for kind, first in KINDS.items():
            tries: dict[str, list[float]] = {peer.name: [] for peer in LISTED}
            for attempt in range(TRIES):
                for server in abba(servers, number + attempt):
                    bench.tell(f"b6-silent {kind} {server.name}")
                    tries[server.name].append(_delay(server, first))
            found[kind] = {name: median(times) for name, times in tries.items()}
        return found

    with bench.running(*LISTED) as servers:
        done = bench.rounds("b6-silent", bench.count(3, 7), one)
    table = table_of(done.results)
    table.notes += done.notes
    return [table]


def _delay(server: Server, first: bytes) -> float:
    with Held(server.port, COUNT, first):
        sent = time.monotonic()
        client.get(server.port, timeout=30.0)
        took = time.monotonic() - sent
    server.settle()
    return took


def table_of(results: Sequence[Delays]) -> Table:
    """Over uvicorn with as many workers."""
    title = f"a request behind {COUNT} connections, {WORKERS} workers, over uvicorn --workers {WORKERS}"
    table = Table("b6-silent", title, ["server", *KINDS, *(f"{kind} (ms)" for kind in KINDS)])
    for name in results[0]["silent"]:
        ratios, middles = [], []
        for kind in KINDS:
            times = [result[kind][name] for result in results]
            ratios.append(paired(times, [result[kind][BASE] for result in results]))
            middles.append(f"{1000 * median(times):.1f}")
            if name == OURS.name:
                table.goal(f"behind {COUNT} {kind} at most 1", ratios[-1].value, 1.0)
        table.add(name, *ratios, *middles)
    return table
