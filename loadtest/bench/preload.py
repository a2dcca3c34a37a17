"""What workers share: the three modes of `--preload` beside gunicorn's two and uvicorn, on an application whose import
is slow and large. Most of it is a library, the rest its own."""

from __future__ import annotations

import os
import time
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.crash import death
from loadtest.bench.report import Table
from loadtest.bench.stats import abba

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

WORKERS = 4
HEAVY = {"BENCH_LIBRARIES": "kubernetes.client asyncio sqlite3", "BENCH_IMPORT_SECONDS": 0.2, "BENCH_IMPORT_MB": 10}
ALL = 30.0  # seconds until every worker has answered
MODES = ("libraries", "application", "nothing")


def modes(bench: Bench) -> list[Table]:
    """Boot, memory and the second of two deaths in a row."""
    ours = [peers.corepod("--preload", mode, "--pin", "never", name=f"corepod, {mode}") for mode in MODES]
    more = peers.corepod("--standbys", "2", "--pin", "never", name="corepod, libraries, 2 standbys")
    others = [peers.PRELOAD, peers.GUNICORN, peers.UVICORN]
    listed = [peer.with_env(**HEAVY) for peer in (*ours, more, *others)]

    def one(number: int) -> dict[str, Any]:
        found = {}
        for peer in abba(listed, number):
            bench.tell(f"boot {peer.name}")
            four = peer.of(WORKERS)
            start = time.monotonic()
            with bench.running(four, cores=os.sched_getaffinity(0)) as (server,):
                boot = _all_answered(server) - start
                memory = sum(host.pss(pid) for pid in server.family())
            with bench.running(peer.of(1)) as (server,):
                found[peer.name] = {"boot": boot, "memory": memory, "second": _second_death(server)}
        return found

    done = bench.rounds("preload", bench.count(3, 9), one)
    middle = {
        peer.name: {key: median(r[peer.name][key] for r in done.results) for key in ("boot", "memory", "second")}
        for peer in listed
    }
    table = Table(
        "preload",
        f"an import that is mostly libraries, {WORKERS} workers and two deaths in a row, over gunicorn without preload",
        ["server", "boot", "PSS of all", "second death", "boot (s)", "PSS (MB)", "second death (ms)"],
    )
    base = middle[peers.GUNICORN.name]
    for name, row in middle.items():
        ratios = (f"{row[key] / base[key]:.2f}" for key in ("boot", "memory", "second"))
        table.add(name, *ratios, f"{row['boot']:.2f}", f"{row['memory'] / 1e6:.0f}", f"{1000 * row['second']:.0f}")
    libraries = middle["corepod, libraries"]
    table.goal("libraries: boot at most 0.6", libraries["boot"] / base["boot"], 0.6)
    table.goal("libraries: second death at most 0.4", libraries["second"] / base["second"], 0.4)
    memory = libraries["memory"]
    table.goal("libraries: PSS over application at most 1.35", memory / middle["corepod, application"]["memory"], 1.35)
    table.goal("libraries: PSS over uvicorn at most 0.75", memory / middle[peers.UVICORN.name]["memory"], 0.75)
    table.notes = done.notes
    return [table]


def _all_answered(server: Server) -> float:
    """When each of the workers has given an answer, on CLOCK_MONOTONIC."""
    seen: set[bytes] = set()
    end = time.monotonic() + ALL
    while len(seen) < WORKERS:
        if time.monotonic() > end:
            raise RuntimeError(f"{server.name}: only {len(seen)} of {WORKERS} workers answer")
        seen.add(server.get())
    return time.monotonic()


def _second_death(server: Server) -> float:
    """Seconds from the second death to the next 200, right after the first one's."""
    for _ in range(2):
        result = death(server, before=0.004, after=ALL, step=0.005, early=True)
    return float(result["recovery"])
