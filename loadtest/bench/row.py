"""B3: five deaths in a row, each right after the last one's first answer."""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import peers
from loadtest.bench.crash import BASE, death
from loadtest.bench.report import Table
from loadtest.bench.stats import abba

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server


def row_of_deaths(bench: Bench) -> list[Table]:
    """B3."""
    listed = [peers.corepod(budget="5/60"), peers.PRELOAD, peers.GRANIAN]

    def one(number: int) -> dict[str, Any]:
        found = {}
        for peer in abba(listed, number):
            bench.tell(f"b3 five deaths of {peer.name}")
            with bench.running(peer) as (server,):
                found[peer.name] = _five(server)
        return found

    done = bench.rounds("b3", bench.count(3, 11), one)
    titles = [f"death {number}" for number in range(1, 6)]
    table = Table(
        "b3",
        f"five deaths in a row, each right after the last one's 200, over the first of {BASE}",
        ["server", *titles, "survived", "refused or reset"],
    )
    base = median(r[BASE]["times"][0] for r in done.results)
    for peer in listed:
        results = [r[peer.name] for r in done.results]
        at = [[r["times"][n] for r in results if len(r["times"]) > n] for n in range(5)]
        cells = [f"{median(times) / base:.2f}" if times else "-" for times in at]
        table.add(
            peer.name,
            *cells,
            f"{median(len(r['times']) for r in results):g} of 5",
            f"{median(r['lost'] for r in results):g}",
        )
    ours = [r["corepod, armed"] for r in done.results]
    slowest = max(median(r["times"][n] for r in ours) for n in range(5))
    table.goal("the slowest of the five, in ms here, at most 25", 1000 * slowest, 25)
    table.goal("none refused or reset", max(r["lost"] for r in ours), 0)
    table.notes = done.notes
    return [table]


def _five(server: Server) -> dict[str, Any]:
    times: list[float] = []
    lost = 0
    for _ in range(5):
        result = death(server, before=0.004, after=2.0, early=True)
        lost += result["later"]["refused"] + result["later"]["reset"]
        if math.isinf(result["recovery"]) or not server.alive:
            break
        times.append(result["recovery"])
    return {"times": times, "lost": lost}
