"""State and messages that all workers share: corepod.shared on one machine and on a Redis, beside redis-py alone."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, percentile, pooled

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench.harness import Bench

APP = "loadtest.bench.shared_app:app"
ALONE, REDIS, ONE, IPC = "redis-py alone", "corepod.shared, Redis", "corepod.shared, one machine", "corepod.ipc"
WAYS = {ALONE: "alone", REDIS: "shared", ONE: "shared", IPC: "ipc"}
OPERATIONS = (ALONE, REDIS, ONE)
COUNTS = {"operations": (300, 3000), "broadcast": (300, 3000)}  # quick, thorough
WORKERS = 4  # in two pools of two with a Redis, in one pool without
PATIENCE = 120.0  # seconds for one measurement
START = 30.0
MOST = 1.5  # times as long as redis-py alone


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that keeps nothing on disk; its URL. Raises RuntimeError where there is none."""
    program = os.environ.get("REDIS_SERVER") or shutil.which("redis-server")
    if program is None:
        raise RuntimeError("there is no redis-server: install it (apt-get install redis-server) or set REDIS_SERVER")
    with socket.socket() as held:
        # Bound, and nobody listens: it is free for the Redis, which asks for this very port, and for nobody else.
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        words = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
        try:
            _until_open(port, process)
            yield f"redis://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def _until_open(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1.0):
            return
        time.sleep(0.01)
    raise RuntimeError(f"redis-server doesn't answer within {START:g} s")


def shared(bench: Bench) -> list[Table]:
    """Operations one after the other in one worker, and broadcasts to four workers."""

    def one(number: int) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {name: {} for name in WAYS}
        for name in abba(list(WAYS), number):
            for what, counts in COUNTS.items():
                if what == "broadcast" or name in OPERATIONS:
                    bench.tell(f"shared {what} {name}")
                    found[name][what] = _ask(ports[name], what, WAYS[name], counts[bench.thorough])
        return found

    with host.pinned(set(host.CORES)), redis_server() as url:
        pool = peers.corepod("--pin", "never", "--shared", url, "--shared-prefix", "bench:").serving(APP)
        pool = pool.with_env(BENCH_REDIS=url)
        alone = peers.corepod("--pin", "never").serving(APP)
        with bench.running(pool.of(2), pool.of(2), alone.of(WORKERS), cores=set(host.CORES)) as servers:
            first, _, machine = (server.port for server in servers)
            ports = {ALONE: first, REDIS: first, ONE: machine, IPC: machine}
            done = bench.rounds("shared", bench.count(3, 9), one)
    tables = tables_of(done.results)
    tables[0].notes += done.notes
    return tables


def _ask(port: int, what: str, way: str, count: int) -> Any:
    url = f"http://127.0.0.1:{port}/{what}?way={way}&count={count}&workers={WORKERS}"
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        return json.load(answer)


def tables_of(results: list[dict[str, Any]]) -> list[Table]:
    return [_broadcasts(results), _operations(results)]


def _broadcasts(results: list[dict[str, Any]]) -> Table:
    """From sending to each of all workers."""
    delays = {name: [r[name]["broadcast"]["latencies"] for r in results] for name in WAYS}
    lost = {name: sum(r[name]["broadcast"]["lost"] for r in results) for name in WAYS}
    title = f"a broadcast to each of {WORKERS} workers, over {ALONE}"
    table = Table("shared", title, ["through", "p50", "p99", "lost", "p99 (ms)"])
    for name in WAYS:
        ratios = [pooled(delays[name], delays[ALONE], share) for share in (0.5, 0.99)]
        table.add(name, *ratios, lost[name], f"{1000 * percentile([d for r in delays[name] for d in r], 0.99):.2f}")
    table.goal("lost by corepod.shared at most 0", lost[REDIS] + lost[ONE], 0)
    table.goal(f"{REDIS}: p99 at most {MOST}", pooled(delays[REDIS], delays[ALONE], 0.99).value, MOST)
    table.notes = ["Two pools of two workers with a Redis; one pool of four on one machine, and with corepod.ipc."]
    return table


def _operations(results: list[dict[str, Any]]) -> Table:
    """Calls one after the other."""
    kinds = list(results[0][ALONE]["operations"])
    columns = [f"{kind} {share}" for kind in kinds for share in ("p50", "p99")]
    table = Table("shared-ops", f"one operation after the other, over {ALONE}", ["through", *columns, "get p50 (ms)"])
    seconds = {name: {kind: [r[name]["operations"][kind] for r in results] for kind in kinds} for name in OPERATIONS}
    for name, found in seconds.items():
        cells = [pooled(found[kind], seconds[ALONE][kind], share) for kind in kinds for share in (0.5, 0.99)]
        table.add(name, *cells, f"{1000 * median(s for r in found['get'] for s in r):.3f}")
    for kind in kinds:
        ratio = pooled(seconds[REDIS][kind], seconds[ALONE][kind], 0.5)
        table.goal(f"{REDIS}: p50 of {kind} at most {MOST}", ratio.value, MOST)
    return table
