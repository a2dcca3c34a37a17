"""The tables of B8's mixtures: pure functions of what was measured."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import geometric_mean
from typing import TYPE_CHECKING

from loadtest.bench import peers
from loadtest.bench.queue import DEFAULT
from loadtest.bench.report import Table
from loadtest.bench.stats import paired, percentile, pooled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

BASE = peers.UVICORN.name


@dataclass(frozen=True)
class Short:
    """One server in one round: requests a second in closed loop, and latencies in open loop, in seconds."""

    rate: float
    computing: float  # requests a second of the clients beside
    latencies: list[float]
    failed: int  # of the clients beside


@dataclass(frozen=True)
class Mixed:
    """One server in one round of one mixture."""

    latencies: list[float]  # seconds
    beside: int | None  # requests of the clients beside that were answered meanwhile; None where there are none
    failed: int  # of all that came beside


def short_table(results: Sequence[Mapping[str, Short]]) -> Table:
    """Over uvicorn."""
    title = "short requests beside 4 clients whose handlers compute in threads, 2 workers, over uvicorn --workers 2"
    columns = ["server", "short requests/s", "computing requests/s", "p50 at 60/s", "p99 at 60/s", "failed"]
    table = Table("b8-short", title, [*columns, "short (1/s)", "computing (1/s)", "p50 (ms)", "p99 (ms)"])
    for name in results[0]:
        own, base = ([result[one] for result in results] for one in (name, BASE))
        rates = paired([one.rate for one in own], [one.rate for one in base])
        computing = paired([one.computing for one in own], [one.computing for one in base])
        p50, p99 = (pooled([o.latencies for o in own], [b.latencies for b in base], share) for share in (0.5, 0.99))
        every = [latency for one in own for latency in one.latencies]
        absolute = [sum(getattr(one, side) for one in own) / len(own) for side in ("rate", "computing")]
        table.add(
            name, rates, computing, p50, p99, sum(one.failed for one in own),
            *(f"{value:.0f}" for value in absolute), *(f"{1000 * percentile(every, s):.1f}" for s in (0.5, 0.99)),
        )  # fmt: skip
        if name == DEFAULT:
            table.goal("short requests a second at least 1", rates.value, 1.0, least=True)
            table.goal("their p50 in open loop at most 1", p50.value, 1.0)
    return table


def mixture_tables(results: Sequence[Mapping[str, Mapping[str, Mixed]]]) -> list[Table]:
    """The p99 of short requests, and what the others got meanwhile: a server must not win by leaving them waiting."""
    names = list(next(iter(results[0].values())))
    tail = Table("b8-mix", "p99 of short requests, 2 workers, over uvicorn --workers 2", ["beside", *names])
    tail.columns.append(f"{BASE} (ms)")
    beside = Table("b8-beside", "requests of the clients beside them, over uvicorn --workers 2", ["beside", *names])
    ratios: dict[str, list[float]] = {name: [] for name in names}
    failed = dict.fromkeys(names, 0)
    for title in results[0]:
        of = {name: [result[title][name] for result in results] for name in names}
        base = [one.latencies for one in of[BASE]]
        cells = {name: pooled([one.latencies for one in of[name]], base, 0.99) for name in names}
        for name in names:
            ratios[name].append(cells[name].value)
            failed[name] += sum(one.failed for one in of[name])
        tail.add(title, *cells.values(), f"{1000 * _p99(of[BASE]):.1f}")
        counts = {name: [float(one.beside) for one in of[name] if one.beside is not None] for name in names}
        if counts[BASE]:
            beside.add(title, *(paired(counts[name], counts[BASE]) for name in names))
    tail.add("geometric mean", *(f"{geometric_mean(ratios[name]):.2f}" for name in names), "-")
    lost = [f"{name}: {count}" for name, count in failed.items() if count]
    tail.notes = [f"Requests of the others that failed: {', '.join(lost)}."] if lost else []
    return [tail, beside]


def _p99(rounds: Sequence[Mixed]) -> float:
    return percentile([latency for one in rounds for latency in one.latencies], 0.99)
