"""B13 and B14."""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench.operators.peers import CPA, PEERS, Running, running, running_cpa, small_cluster
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, percentile
from tools.fakeapi import FakeApi
from tools.fakeapi.objects import HASH, deployment, heavy_node, heavy_pod, node

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench

OURS, KOPF, TYPED = PEERS
# cluster-proportional-autoscaler acts on a ticker of this period: a change waits for it, evenly spread.
PERIOD = 10.0
CHANGES = 10  # a round
POLLED = 5  # changes a round for who polls: each takes seconds
NODES, PODS, WORKLOADS = 5000, 20_000, 100
HEARTBEATS = 1000
SETTLED = 5.0  # seconds without news after which an operator has nothing left to do
IDLE = 60.0  # seconds in which calls of an idle operator are counted

Begin = Callable[[Iterable[str]], AbstractContextManager[tuple[FakeApi, Running]]]


def reaction(bench: Bench) -> list[Table]:
    """B13: a node comes or grows; until the number is written."""
    begin = {name: partial(_begin, name) for name in (OURS, KOPF)}
    if bench.cpa is not None:
        begin[CPA] = partial(running_cpa, bench.cpa)

    def one(number: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in abba(list(begin), number):
            bench.tell(f"b13 nodes come and grow for {name}")
            # At any moment of its poll. The same ones in each run.
            pauses = random.Random(number) if name == CPA else None
            found[name] = _reactions(begin[name], pauses)
        return found

    done = bench.rounds("b13", bench.count(3, 11), one)
    table = Table(
        "b13",
        f"a node comes or grows, until it counts, over half the poll ({PERIOD:g} s) of {CPA}",
        ["operator", "p50", "p95", "writes a change", "requests an idle minute"],
    )
    for name, start in begin.items():
        times = [t for r in done.results for t in r[name]["times"]]
        cells = [f"{percentile(times, share) / (PERIOD / 2):.4f}" for share in (0.5, 0.95)]
        writes = median(r[name]["writes"] / len(r[name]["times"]) for r in done.results)
        table.add(name, *cells, f"{writes:g}", f"{_idle(start):g}")
    ours = [r[OURS] for r in done.results]
    table.goal("p95 at most 0.5 s (here)", percentile([t for r in ours for t in r["times"]], 0.95), 0.5)
    table.goal("writes a change exactly 1", max(r["writes"] / CHANGES for r in ours), 1.0)
    table.notes = done.notes
    if bench.cpa is None:
        table.add(CPA, "1", f"{0.95 * PERIOD / (PERIOD / 2):g}", "1", "12")
        table.notes = [*done.notes, f"{CPA} isn't run (--cpa): its row is what its default poll makes of it."]
    return [table]


@contextlib.contextmanager
def _begin(name: str, nodes: Iterable[str]) -> Iterator[tuple[FakeApi, Running]]:
    with FakeApi() as api, tempfile.TemporaryDirectory() as folder:
        small_cluster(api, nodes)
        with running(name, api, Path(folder)) as operator:
            yield api, operator


def _reactions(begin: Begin, pauses: random.Random | None) -> dict[str, Any]:
    times = []
    with begin("abc") as (api, operator):
        operator.until_writes(1)
        time.sleep(1.0)
        before = len(api.writes(part="scale"))
        for number in range(POLLED if pauses else CHANGES):
            time.sleep(pauses.uniform(0.0, PERIOD) if pauses else 0.3)
            first = len(api.writes(part="scale"))
            began = time.monotonic()
            # Every second change is one of what the last node can give.
            api.store.put("nodes", node(f"new{number // 2}", "8" if number % 2 else "4"))
            operator.until_writes(first + 1)
            times.append(api.writes(part="scale")[first].at - began)
        time.sleep(0.3)
        return {"times": times, "writes": len(api.writes(part="scale")) - before}


def _idle(begin: Begin) -> float:
    with begin("a") as (api, operator):
        operator.until_writes(1)
        time.sleep(SETTLED)
        before = len(api.calls)
        time.sleep(IDLE)
        return (len(api.calls) - before) * 60 / IDLE


def size(bench: Bench) -> list[Table]:
    """B14: thousands of nodes and pods."""

    # A round for each: together they take longer than a round may.
    done = {}
    for name in PEERS:
        bench.tell(f"b14 {NODES} nodes for {name}")
        done[name] = bench.rounds(f"b14 {name}", bench.count(1, 3), partial(_size, name))
    results = {name: found.results for name, found in done.items()}
    table = Table(
        "b14",
        f"{NODES} nodes, {PODS} pods, {WORKLOADS} workloads, over the typed client that keeps its lists",
        ["operator", "start to first decision", "greatest RSS", "CPU of a node's heartbeat, over kopf's"],
    )
    peaks, starts = ({n: median(r[key] for r in results[n]) for n in PEERS} for key in ("peak", "start"))
    beats = {n: median(r["beats"] for r in results[n]) for n in (OURS, KOPF)}
    for name in PEERS:
        cpu = f"{beats[name] / beats[KOPF]:.2f}" if name in beats else "-"
        table.add(name, f"{starts[name] / starts[TYPED]:.2f}", f"{peaks[name] / peaks[TYPED]:.2f}", cpu)
    table.goal("RSS at most 100 MB (here)", peaks[OURS] / 1e6, 100)
    table.goal("RSS over the typed client's at most 0.2", peaks[OURS] / peaks[TYPED], 0.2)
    table.goal("start over kopf's at most 0.5", starts[OURS] / starts[KOPF], 0.5)
    notes = [note for found in done.values() for note in found.notes]
    table.notes = [*dict.fromkeys(notes), "The typed client only lists: it has no watch, and decides nothing."]
    return [table]


def _size(name: str, number: int) -> dict[str, Any]:
    with FakeApi() as api, tempfile.TemporaryDirectory() as folder:
        _fill(api)
        with running(name, api, Path(folder)) as operator:
            start = operator.until_ready() if name == TYPED else operator.until_writes(1)
            beats = None if name == TYPED else _heartbeats(api, operator)
            return {"start": start, "peak": operator.peak(), "beats": beats}


def _heartbeats(api: FakeApi, operator: Any) -> float:
    time.sleep(SETTLED)
    before = operator.cpu()
    for number in range(HEARTBEATS):
        beat = heavy_node(f"node-{number:05}", cpu="8")
        beat["status"]["conditions"][0]["lastHeartbeatTime"] = str(time.monotonic())
        api.store.put("nodes", beat)
    time.sleep(SETTLED)
    used: float = operator.cpu() - before
    return used


def _fill(api: FakeApi) -> None:
    """Each workload has all its pods; one, `web`, is new and gets its number."""
    for number in range(NODES):
        api.store.put("nodes", heavy_node(f"node-{number:05}", cpu="8"))
    each = PODS // WORKLOADS
    for number in range(WORKLOADS):
        api.store.put("deployments", deployment(f"web-{number:03}", each, max=str(each)))
    for number in range(PODS):
        owner = f"web-{number % WORKLOADS:03}"
        api.store.put("pods", heavy_pod(f"{owner}-{HASH}-{number}", f"node-{number % NODES:05}", owner=owner))
    api.store.put("deployments", deployment("web", max="50"))
    api.store.events.clear()
    for plural in ("nodes", "pods", "deployments"):
        api.store.listed(plural, "", {})  # written as JSON once, before anybody waits for it
