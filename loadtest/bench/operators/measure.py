"""B13 and B14."""

from __future__ import annotations

import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench.operators.peers import PEERS, running
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, percentile
from tests.fakeapi import FakeApi
from tests.fakeapi.objects import HASH, deployment, heavy_node, heavy_pod, node

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench

OURS, KOPF, TYPED = PEERS
# cluster-proportional-autoscaler acts on a ticker of this period: a change waits for it, evenly spread. It finds its
# API server only as a pod does, so it isn't run here.
PERIOD = 10.0
CHANGES = 10  # a round
NODES, PODS, WORKLOADS = 5000, 20_000, 100
HEARTBEATS = 1000
SETTLED = 5.0  # seconds without news after which an operator has nothing left to do
IDLE = 60.0  # seconds in which calls of an idle operator are counted


def reaction(bench: Bench) -> list[Table]:
    """B13: a node comes; until the number is written."""

    def one(number: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in abba([OURS, KOPF], number):
            bench.tell(f"b13 nodes come to {name}")
            found[name] = _reactions(name)
        return found

    done = bench.rounds("b13", bench.count(3, 11), one)
    table = Table(
        "b13",
        f"a node comes, until it counts, over half the poll ({PERIOD:g} s) of cluster-proportional-autoscaler",
        ["operator", "p50", "p95", "p95 (ms)", "writes a change", "requests an idle minute"],
    )
    for name in (OURS, KOPF):
        times = [t for r in done.results for t in r[name]["times"]]
        cells = [f"{percentile(times, share) / (PERIOD / 2):.4f}" for share in (0.5, 0.95)]
        writes = median(r[name]["writes"] / CHANGES for r in done.results)
        table.add(name, *cells, f"{1000 * percentile(times, 0.95):.0f}", f"{writes:g}", f"{_idle(name):g}")
    table.add("cluster-proportional-autoscaler", "1", f"{0.95 * PERIOD / (PERIOD / 2):g}", "-", "1", "12")
    ours = [r[OURS] for r in done.results]
    table.goal("p95, in seconds, at most 0.5", percentile([t for r in ours for t in r["times"]], 0.95), 0.5)
    table.goal("writes a change exactly 1", max(r["writes"] / CHANGES for r in ours), 1.0)
    table.notes = [
        *done.notes,
        "cluster-proportional-autoscaler isn't run: its row is what its default poll makes of it.",
    ]
    return [table]


def _reactions(name: str) -> dict[str, Any]:
    times = []
    with FakeApi() as api, tempfile.TemporaryDirectory() as folder:
        for letter in "abc":
            api.store.put("nodes", node(letter))
        api.store.put("deployments", deployment("web", full="true"))
        with running(name, api, Path(folder)) as operator:
            operator.until_writes(1)
            time.sleep(1.0)
            before = len(api.writes(part="scale"))
            for number in range(CHANGES):
                begin = len(api.writes(part="scale"))
                began = time.monotonic()
                api.store.put("nodes", node(f"new{number}"))
                operator.until_writes(begin + 1)
                times.append(api.writes(part="scale")[begin].at - began)
                time.sleep(0.3)
            return {"times": times, "writes": len(api.writes(part="scale")) - before}


def _idle(name: str) -> float:
    with FakeApi() as api, tempfile.TemporaryDirectory() as folder:
        api.store.put("nodes", node("a"))
        api.store.put("deployments", deployment("web", full="true"))
        with running(name, api, Path(folder)) as operator:
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
        ["operator", "start to first decision", "greatest RSS", "RSS (MB)", "CPU of 1000 heartbeats (s)"],
    )
    peaks, starts = ({n: median(r[key] for r in results[n]) for n in PEERS} for key in ("peak", "start"))
    for name in PEERS:
        beats = [r["beats"] for r in results[name]]
        cpu = "-" if None in beats else f"{median(beats):.2f}"
        start, peak = starts[name] / starts[TYPED], peaks[name] / peaks[TYPED]
        table.add(name, f"{start:.2f}", f"{peak:.2f}", f"{peaks[name] / 1e6:.0f}", cpu)
    table.goal("RSS, in MB, at most 100", peaks[OURS] / 1e6, 100)
    table.goal("RSS over the typed client's at most 0.2", peaks[OURS] / peaks[TYPED], 0.2)
    table.goal("start over kopf's at most 0.5", starts[OURS] / starts[KOPF], 0.5)
    notes = [note for found in done.values() for note in found.notes]
    table.notes = [*notes, "The typed client only lists: it has no watch, and decides nothing."]
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
