"""B1, B2: from the death of all workers to the next 200, and what is lost in between."""

from __future__ import annotations

import math
import os
import random
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.client import OpenLoop
from loadtest.bench.harness import neighbour
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, percentile, pooled

if TYPE_CHECKING:
    from loadtest.bench.client import Sample
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

STEP = 0.002  # seconds between two requests
BEFORE, AFTER = 0.2, 1.0  # seconds around the death in which lost requests are counted
LONGEST = 10.0  # seconds after which a server counts as not coming back
BASE = peers.PRELOAD.name


def death(server: Server, before: float, after: float, step: float = STEP, *, early: bool = False) -> dict[str, Any]:
    """Kill all workers under a steady stream of new connections; `early` ends with the first 200.

    `recovery` counts from the first kill to the first 200 of a request sent after it.
    """
    pids, killed = server.workers(), math.nan

    def kill() -> None:
        nonlocal killed
        killed = server.last_death = time.monotonic()
        host.kill(pids)

    def recovered(sample: Sample) -> bool:
        return early and sample.outcome == "ok" and sample.sent >= killed

    times = [number * step for number in range(int((before + after) / step))]
    samples = OpenLoop(server.port, "/", times, [(before, kill)]).run(1.0, recovered)
    later = [sample for sample in samples if sample.sent >= killed]
    good = [sample.done for sample in later if sample.outcome == "ok"]
    ended = [sample for sample in later if sample.done or not early]
    return {
        "recovery": min(good) - killed if good else math.inf,
        "later": Counter(sample.outcome for sample in ended),
        "in_flight": Counter(sample.outcome for sample in samples if sample.sent < killed and sample.outcome != "ok"),
        "requests": [(sample.sent - killed, sample.done - killed, sample.outcome) for sample in samples],
    }


def one_death(bench: Bench, server: Server, phase: random.Random, **options: Any) -> dict[str, Any]:
    """A death at a random phase of whatever timers the server has, when it has got over the last one."""
    bench.tell(f"kill {server.name}")
    time.sleep(max(0.0, server.last_death + server.peer.pause - time.monotonic()) + phase.uniform(0.0, 0.5))
    result = death(server, **options)
    server.settle()
    return result


def crashes(bench: Bench) -> list[Table]:
    """B1 and B2."""
    listed = [peers.corepod(standby=standby) for standby in ("armed", "live", "none")]
    listed += [peers.PRELOAD, peers.GUNICORN, peers.UVICORN, peers.GRANIAN]
    phase = random.Random(1)
    with bench.running(*listed) as servers:
        done = bench.rounds(
            "b1",
            bench.count(7, 30),
            lambda number: {
                s.name: one_death(bench, s, phase, before=BEFORE, after=AFTER) for s in abba(servers, number)
            },
        )
    with bench.running(peers.HYPERCORN.of(1, "-w", "1", name="hypercorn -w 1")) as (server,):
        os.kill(host.children(server.pid)[-1], 9)
        time.sleep(1.0)
        survives = server.alive
    first = Table(
        "b1",
        "from the death of all workers to the next 200, over gunicorn --preload",
        ["server", "p50", "p99", "p50 (ms)", "p99 (ms)"],
    )
    second = Table(
        "b2",
        "requests lost a death, of those sent after it",
        ["server", "refused", "reset", "no answer", "in flight at the death"],
    )
    times = {s.name: [r[s.name]["recovery"] for r in done.results] for s in servers}
    for server in servers:
        values = times[server.name]
        middle = pooled([[v] for v in values], [[v] for v in times[BASE]], 0.5)
        tail = percentile(values, 0.99) / percentile(times[BASE], 0.99)
        absolute = (f"{1000 * percentile(values, share):.1f}" for share in (0.5, 0.99))
        first.add(server.name, middle, f"{tail:.2f}", *absolute)
        results = [r[server.name] for r in done.results]
        lost = [sum(r["later"][what] for r in results) / len(results) for what in ("refused", "reset", "timeout")]
        second.add(
            server.name,
            *(f"{n:.3g}" for n in lost),
            f"{sum(r['in_flight'].total() for r in results) / len(results):.2g}",
        )
    if not survives:
        first.add("hypercorn -w 1", "never", "never", "-", "-")
    ours = times["corepod, armed"]
    first.goal("p50 of an armed standby at most 0.4", median(ours) / median(times[BASE]), 0.4)
    first.goal("p99 of an armed standby at most 0.6", percentile(ours, 0.99) / percentile(times[BASE], 0.99), 0.6)
    lost_by_us = sum(
        sum(n for what, n in r[s]["later"].items() if what != "ok")
        for r in done.results
        for s in times
        if "corepod" in s
    )
    second.goal("none refused, none lost in the queue", lost_by_us, 0)
    first.notes, second.notes = done.notes, [f"{len(done.results)} deaths of each server.", *done.notes]
    return [first, second, _beside_a_neighbour(bench)]


def _beside_a_neighbour(bench: Bench) -> Table:
    """The same where another process burns the servers' core."""
    phase = random.Random(2)
    with bench.running(peers.corepod(), peers.PRELOAD) as servers, neighbour(host.SERVER):
        done = bench.rounds(
            "b1-busy",
            bench.count(5, 15),
            lambda number: {
                s.name: one_death(bench, s, phase, before=0.05, after=LONGEST, early=True)["recovery"]
                for s in abba(servers, number)
            },
        )
    table = Table(
        "b1-busy",
        "the same beside a process that burns the core, over gunicorn --preload",
        ["server", "p50", "p50 (ms)"],
    )
    _rows(table, done.results, BASE)
    table.goal("at most 0.25", _ratio(done.results, "corepod, armed", BASE), 0.25)
    table.notes = done.notes
    return table


def _rows(table: Table, results: list[dict[str, float]], base: str) -> None:
    for name in sorted(results[0], key=lambda name: "corepod" not in name):
        values, reference = [r[name] for r in results], [r[base] for r in results]
        table.add(name, pooled([[v] for v in values], [[v] for v in reference], 0.5), f"{1000 * median(values):.1f}")


def _ratio(results: list[dict[str, float]], name: str, base: str) -> float:
    return median(r[name] for r in results) / median(r[base] for r in results)
