"""B4: applications that are slow to start, by a heavy import or a slow lifespan."""

from __future__ import annotations

import random
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import peers
from loadtest.bench.crash import LONGEST, one_death
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, pooled

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer

IMPORT_SECONDS, IMPORT_MB = 1.5, 80
LIFESPAN_SECONDS = 0.1


def slow_starts(bench: Bench) -> list[Table]:
    heavy = {"BENCH_IMPORT_SECONDS": IMPORT_SECONDS, "BENCH_IMPORT_MB": IMPORT_MB}
    listed = [peers.corepod(), peers.PRELOAD, peers.GUNICORN]
    title = f"an import that computes {IMPORT_SECONDS:g} s and holds {IMPORT_MB} MB, death to 200"
    imports, times = _compare(bench, "b4", title, [peer.with_env(**heavy) for peer in listed])
    ours = median(times["corepod, armed"])
    imports.goal("over gunicorn --preload at most 0.5", ours / median(times[peers.PRELOAD.name]), 0.5)
    imports.goal("over gunicorn without preload at most 0.02", ours / median(times[peers.GUNICORN.name]), 0.02)
    listed = [peers.corepod(standby="live"), peers.corepod(), peers.PRELOAD]
    title = f"a lifespan that takes {LIFESPAN_SECONDS:g} s, death to 200"
    slow = [peer.with_env(BENCH_LIFESPAN_SECONDS=LIFESPAN_SECONDS) for peer in listed]
    lifespans, times = _compare(bench, "b4-lifespan", title, slow)
    ratio = median(times["corepod, live"]) / median(times[peers.PRELOAD.name])
    lifespans.goal("live standby over gunicorn --preload at most 0.1", ratio, 0.1)
    return [imports, lifespans]


def _compare(bench: Bench, key: str, title: str, listed: list[Peer]) -> tuple[Table, dict[str, list[float]]]:
    phase = random.Random(4)
    with bench.running(*listed) as servers:
        done = bench.rounds(
            key,
            bench.count(3, 11),
            lambda number: {
                s.name: one_death(bench, s, phase, before=0.05, after=LONGEST, step=0.005, early=True)["recovery"]
                for s in abba(servers, number)
            },
        )
    times = {peer.name: [r[peer.name] for r in done.results] for peer in listed}
    base = times[peers.PRELOAD.name]
    table = Table(key, title + ", over gunicorn --preload", ["server", "p50", "p50 (ms)"], notes=done.notes)
    for name, values in times.items():
        table.add(name, pooled([[v] for v in values], [[v] for v in base], 0.5), f"{1000 * median(values):.1f}")
    return table, times
