"""`make bench ARGS=front`: simulates how requests are spread over pods, and compares with what a cluster has shown."""

from __future__ import annotations

import contextlib
import os
from concurrent.futures import ProcessPoolExecutor, as_completed
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host
from loadtest.bench.balancing import measured
from loadtest.bench.balancing.cells import CASES, measure
from loadtest.bench.balancing.cookies import WAYS, busiest_over_mean
from loadtest.bench.balancing.tables import compared_table, cookie_table, simulation_tables

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench.balancing.cells import Case, Stays
    from loadtest.bench.harness import Bench
    from loadtest.bench.report import Table

QUICK, THOROUGH = 200_000, 1_000_000  # requests of each simulation
ROUNDS = 100  # simulated beside the measured ones
MODEST_NICE = 10
COOKIE_PODS, COOKIE_SEEDS, FAIR = (4, 10, 20, 100), 15, 1.2


@contextlib.contextmanager
def _modest() -> Iterator[None]:
    """Leave the cores to others: what is computed here doesn't depend on how fast it is."""
    host.prefer(os.getpid(), MODEST_NICE)
    try:
        yield
    finally:
        host.prefer(os.getpid(), host.CLIENT_NICE)


def front(bench: Bench) -> list[Table]:
    """The results are the same on every machine."""
    seeds = bench.count(1, 3)
    done = _simulated(bench, seeds)
    results = {case: [done[case, seed] for seed in range(seeds)] for case in CASES}
    bench.raw["front"] = [_raw(case, by_policy) for case, found in results.items() for by_policy in found]
    bench.tell("front: beside the measured pods")
    compared = measured.compare(measured.stored(), ROUNDS)
    bench.tell("front: cookies")
    cookies = {
        way: {pods: median(busiest_over_mean(way, pods, seed) for seed in range(COOKIE_SEEDS)) for pods in COOKIE_PODS}
        for way in WAYS
    }
    return [*simulation_tables(results), compared_table(compared), cookie_table(cookies, FAIR)]


def _simulated(bench: Bench, seeds: int) -> dict[tuple[Case, int], dict[str, Stays]]:
    """Every case with so many seeds, on all cores."""
    requests = THOROUGH if bench.thorough else QUICK
    # Those that take longest come first.
    jobs = sorted(((case, seed) for case in CASES for seed in range(seeds)), key=lambda job: -job[0].pods)
    done: dict[tuple[Case, int], dict[str, Stays]] = {}
    with _modest(), host.pinned(set(host.CORES)), ProcessPoolExecutor(len(host.CORES)) as processes:
        running = {processes.submit(measure, case, requests, seed): (case, seed) for case, seed in jobs}
        try:
            for count, future in enumerate(as_completed(running), 1):
                done[running[future]] = future.result()
                bench.tell(f"front {count} of {len(jobs)}: {running[future][0]}", count / len(jobs))
        except BaseException:
            host.end_children()  # or the end would wait for all that is left
            raise
    return done


def _raw(case: Case, found: dict[str, Stays]) -> dict[str, Any]:
    return {**vars(case), "stays": {policy: vars(stays) for policy, stays in found.items()}}
