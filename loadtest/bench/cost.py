"""What a request costs a server: CPU of all its processes, over that of the server beside it in the same rounds."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench.closed_loop import ClosedLoop
from loadtest.bench.load import Meter
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired

if TYPE_CHECKING:
    from collections.abc import Sequence

    from loadtest.bench.harness import Bench
    from loadtest.bench.peers import Peer
    from loadtest.bench.server import Server

CONNECTIONS = 32
WARM, SEGMENT = 0.2, 0.2  # seconds
SWEEPS = 4  # segments of each server in a round: the shorter they alternate, the less does other load favour one


@dataclass(frozen=True)
class Work:
    """One kind of request."""

    title: str
    path: str = "/"
    fresh: bool = False  # a new connection for each
    body: bytes = b""


@dataclass(frozen=True)
class Stage:
    """Servers that run together, and the work they get."""

    peers: tuple[Peer, ...]
    works: tuple[Work, ...]
    cores: frozenset[int]


@dataclass(frozen=True)
class Cost:
    """One server at one kind of work in one round."""

    cpu: float  # seconds a request
    rate: float  # requests a second
    client: float  # share of its core that the client used, at the most


@dataclass(frozen=True)
class Pair:
    """A row: a server over another one. `most` has the goals, by the title of the work."""

    ours: str
    base: str
    most: dict[str, float] = field(default_factory=dict, hash=False)


Round = dict[str, dict[str, Cost]]  # work, server


def measure(bench: Bench, key: str, stages: Sequence[Stage]) -> Round:
    """One round. Servers are new in it: two processes of one program differ by their memory's layout alone."""
    found: Round = {}
    for stage in stages:
        with bench.running(*stage.peers, cores=set(stage.cores)) as servers:
            for work in stage.works:
                bench.tell(f"{key} {work.title}")
                found[work.title] = _work(servers, work)
    return found


def _work(servers: Sequence[Server], work: Work) -> dict[str, Cost]:
    with contextlib.ExitStack() as stack:
        loads = {}
        for server in servers:
            load = ClosedLoop(server.port, work.path, CONNECTIONS, fresh=work.fresh, body=work.body)
            stack.callback(load.close)
            load.run(WARM)
            loads[server.name] = load
        segments: dict[str, list[tuple[int, float, float, float]]] = {server.name: [] for server in servers}
        for number in range(SWEEPS):
            for server in abba(servers, number):
                segments[server.name].append(_segment(server, loads[server.name]))
    return {name: _sum(parts) for name, parts in segments.items()}


def _segment(server: Server, load: ClosedLoop) -> tuple[int, float, float, float]:
    """Requests answered, CPU seconds for them, seconds, and the client's share of its core."""
    meter, cpu, late = Meter(), server.cpu(), load.late
    answered = len(load.run(SEGMENT)) + load.late - late
    used, machine = server.cpu() - cpu, meter.stop()
    return answered, used, machine.seconds, machine.client


def _sum(segments: Sequence[tuple[int, float, float, float]]) -> Cost:
    answered, cpu, seconds = (sum(part[side] for part in segments) for side in range(3))
    return Cost(cpu / answered, answered / seconds, max(client for *_, client in segments))


def compare(key: str, title: str, pairs: Sequence[Pair], results: Sequence[Round]) -> Table:
    """The medians of the rounds' ratios, with the goals of the pairs. Raises KeyError for a goal of something that
    hasn't been measured."""
    works = list(results[0])
    if unknown := {title for pair in pairs for title in pair.most} - set(works):
        raise KeyError(*unknown)
    absolute = [f"{work}, both (µs)" for work in works]
    table = Table(key, f"{title}: CPU a request", ["server", "over", *works, *absolute])
    for pair in pairs:
        cells: list[object] = []
        micros: list[str] = []
        for work in works:
            if work not in pair.most and not {pair.ours, pair.base} <= set(results[0][work]):
                cells.append("-")
                micros.append("-")
                continue
            ours, base = ([r[work][name].cpu for r in results] for name in (pair.ours, pair.base))
            ratio = paired(ours, base)
            cells.append(ratio)
            micros.append(f"{1e6 * median(ours):.0f}, {1e6 * median(base):.0f}")
            if work in pair.most:
                most = pair.most[work]
                table.goal(f"{pair.ours} over {pair.base}, {work}, at most {most:g}", ratio.value, most)
        table.add(pair.ours, pair.base, *cells, *micros)
    table.notes += [note for work in works if (note := _limited(work, results))]
    return table


def _limited(work: str, results: Sequence[Round]) -> str:
    """A server that has time to spare is woken for every request alone, which costs more than a few at a time."""
    busy = {name: median(r[work][name].client for r in results) for name in results[0][work]}
    named = [f"{name} ({share:.0%})" for name, share in busy.items() if share > 0.85]
    return f"{work}: the client's core was the limit beside {', '.join(named)}." if named else ""
