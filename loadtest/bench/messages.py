"""Messages between workers, beside those of Node's cluster, where each goes through the primary."""

from __future__ import annotations

import json
import shutil
import subprocess
import urllib.request
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired, percentile, pooled

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

APP = "loadtest.bench.messages_app:app"
OURS = peers.corepod("--pin", "never", name="corepod").serving(APP)
UVLOOP = peers.corepod("--pin", "never", "--loop", "uvloop", name="corepod, uvloop").serving(APP)
NODE = "Node's cluster"
SCRIPT = peers.ROOT / "loadtest/bench/messages.js"
COUNTS = {"flood": (10_000, 100_000), "latency": (300, 3000), "broadcast": (2000, 20_000)}  # quick, thorough
WORKERS = {"flood": 2, "latency": 2, "broadcast": 4}
PATIENCE = 120.0  # seconds for one measurement
MANY, SOON = 20_000, 0.001  # messages a second, and seconds for the 99th of 100, that are the goal


def between_workers(bench: Bench) -> list[Table]:
    """One worker sends to another, asks another, and broadcasts to four."""
    node = shutil.which("node")

    def one(number: int) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for name in abba([OURS.name, UVLOOP.name, *([NODE] if node else [])], number):
            found[name] = {}
            for what, counts in COUNTS.items():
                bench.tell(f"messages {what} {name}")
                count = counts[bench.thorough]
                found[name][what] = (
                    _node(str(node), what, count) if name == NODE else _ask(servers[name, WORKERS[what]], what, count)
                )
        return found

    listed = [peer.of(workers) for peer in (OURS, UVLOOP) for workers in (2, 4)]
    with bench.running(*listed, cores=set(host.CORES)) as running:
        servers = {(server.name, server.peer.workers): server for server in running}
        done = bench.rounds("ipc", bench.count(3, 9), one)
    table = table_of(done.results)
    table.notes += done.notes
    return [table]


def _ask(server: Server, what: str, count: int) -> Any:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/{what}?count={count}", timeout=PATIENCE) as answer:
        return json.load(answer)


def _node(node: str, what: str, count: int) -> Any:
    command = [node, str(SCRIPT), what, str(WORKERS[what]), str(count)]
    with host.pinned(set(host.CORES)):
        done = subprocess.run(command, capture_output=True, check=True, timeout=PATIENCE)
    return json.loads(done.stdout)


def table_of(results: list[dict[str, Any]]) -> Table:
    """Each over Node's, or over corepod's where there is no Node."""
    base = NODE if NODE in results[0] else OURS.name
    rates = {
        (name, what): [r[name][what]["rate"] for r in results] for name in results[0] for what in ("flood", "broadcast")
    }
    latencies = {name: [r[name]["latency"]["latencies"] for r in results] for name in results[0]}
    columns = ["workers of", "messages a second", "p50", "p99", "broadcasts a second to 4 workers", "lost"]
    table = Table("ipc", f"messages between workers, over {base}", [*columns, "messages (1/s)", "p99 (ms)"])
    for name in results[0]:
        lost = sum(r[name][what].get("lost", 0) for r in results for what in ("flood", "broadcast"))
        table.add(
            name,
            paired(rates[name, "flood"], rates[base, "flood"]),
            pooled(latencies[name], latencies[base], 0.5),
            pooled(latencies[name], latencies[base], 0.99),
            paired(rates[name, "broadcast"], rates[base, "broadcast"]),
            lost,
            f"{median(rates[name, 'flood']):.0f}",
            f"{1000 * percentile([one for r in latencies[name] for one in r], 0.99):.2f}",
        )
    table.goal("messages a second over 20 000 at least 1", median(rates[OURS.name, "flood"]) / MANY, 1.0, least=True)
    late = percentile([one for r in latencies[OURS.name] for one in r], 0.99)
    table.goal("p99 over a millisecond at most 1", late / SOON, 1.0)
    table.notes = ["Latency is half of the time to an answer, with pauses between the requests."]
    return table
