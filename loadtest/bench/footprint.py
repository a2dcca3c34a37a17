"""B15 and memory: what the supervisor costs to start, to keep, and while nothing happens."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median
from typing import TYPE_CHECKING

from loadtest.bench import host, peers
from loadtest.bench.harness import deadline
from loadtest.bench.report import Table
from loadtest.bench.stats import abba, paired

if TYPE_CHECKING:
    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

IDLE = 60.0  # seconds over which an idle server is watched
# What each master imports. PID 1 is executed with -I -S.
_OURS = "import corepod.supervisor.supervisor"
MASTERS = {
    "corepod": [
        "-I",
        "-S",
        "-X",
        "importtime",
        "-c",
        f"import sys; sys.path.append({str(peers.ROOT / 'app')!r}); {_OURS}",
    ],
    "uvicorn": ["-X", "importtime", "-c", "import uvicorn.main"],
    "gunicorn": ["-X", "importtime", "-c", "import gunicorn.app.wsgiapp, gunicorn.arbiter"],
    "granian": ["-X", "importtime", "-c", "import granian.cli"],
    "hypercorn": ["-X", "importtime", "-c", "import hypercorn.__main__"],
}


def starts(bench: Bench) -> list[Table]:
    """B15."""
    done = bench.rounds(
        "b15", bench.count(7, 21), lambda number: {name: _import_time(name) for name in abba(list(MASTERS), number)}
    )
    table = Table(
        "b15", "importing the supervisor, over uvicorn's master", ["master", "import time", "import time (ms)"]
    )
    times = {name: [r[name] for r in done.results] for name in MASTERS}
    for name, values in times.items():
        table.add(name, paired(values, times["uvicorn"]), f"{1000 * median(values):.1f}")
    table.goal("at most 0.3", paired(times["corepod"], times["uvicorn"]).value, 0.3)
    table.notes = done.notes
    return [table, _cold(bench)]


def _import_time(name: str) -> float:
    """Seconds that the interpreter itself says its imports took, those of its own start included."""
    with host.pinned(host.SERVER):
        run = subprocess.run([sys.executable, *MASTERS[name]], capture_output=True, text=True, timeout=30.0, check=True)
    lines = [line.split("|")[0].removeprefix("import time:") for line in run.stderr.splitlines() if "|" in line]
    return sum(int(line) for line in lines if line.strip().isdigit()) / 1e6


def _cold(bench: Bench) -> Table:
    """From the command to the first 200, nothing running before."""
    listed = [peers.corepod(), peers.PRELOAD, peers.UVICORN, peers.GRANIAN, peers.HYPERCORN]

    def one(number: int) -> dict[str, float]:
        found = {}
        for peer in abba(listed, number):
            start = time.monotonic()
            with bench.running(peer) as (server,):
                found[peer.name] = server.answered - start
        return found

    done = bench.rounds("b15-cold", bench.count(3, 11), one)
    times = {peer.name: [r[peer.name] for r in done.results] for peer in listed}
    table = Table(
        "b15-cold", "from the command to the first 200, over uvicorn --workers 2", ["server", "time", "time (ms)"]
    )
    for name, values in times.items():
        table.add(name, paired(values, times[peers.UVICORN.name]), f"{1000 * median(values):.0f}")
    table.notes = done.notes
    return table


def memory(bench: Bench) -> list[Table]:
    """Memory of each process, one server at a time."""
    table = Table("memory", "memory over bare hypercorn's", ["process", "PSS", "PSS (MB)", "RSS (MB)"])
    rows: dict[str, tuple[int, int]] = {}
    whole: dict[str, int] = {}
    listed = [peers.corepod(), peers.UVICORN, peers.GUNICORN, peers.PRELOAD, peers.GRANIAN, peers.HYPERCORN]
    for peer in listed:
        with bench.running(peer) as (server,):
            for _ in range(20):
                server.get()
            parts = _parts(server)
            rows |= {
                part: (host.pss(pid), host.rss(pid)) for pid, part in parts.items() if not part.startswith("workers")
            }
            whole[peer.name] = host.footprint(list(parts))
    bare = rows["hypercorn"][0]
    for part, (pss, rss) in rows.items():
        table.add(part, f"{pss / bare:.2f}", f"{pss / 1e6:.1f}", f"{rss / 1e6:.1f}")
    for peer in listed:
        size = whole[peer.name]
        table.add(f"all of {peer.name}", f"{size / whole['hypercorn']:.2f}", f"{size / 1e6:.1f}", "-")
    supervisor = rows["corepod: supervisor"][1]
    table.goal("RSS of the supervisor, in MB here, at most 14", supervisor / 1e6, 14)
    table.goal("over that of uvicorn's master at most 0.5", supervisor / rows["master of uvicorn --workers"][1], 0.5)
    table.goal("all of corepod over all of hypercorn at most 1.6", whole["corepod, armed"] / whole["hypercorn"], 1.6)
    table.notes = ["In the sums each mapped file counts once, as in a container's bill."]
    bench.raw["memory"] = {"processes": rows, "sums": whole}
    return [table]


def _roles(server: Server) -> dict[int, str]:
    """What each process of ours is, by the name that it shows in ps (15 characters of it)."""
    roles = {"corepod": "supervisor", "corepod-templat": "template"}
    names = {pid: host.name(pid) for pid in server.family()}
    return {pid: roles.get(name, name.removeprefix("corepod-")) for pid, name in names.items()}


def idle(bench: Bench) -> list[Table]:
    """CPU that each part uses while there are neither requests, nor probes, nor scrapes."""
    listed = [peers.corepod(), peers.PRELOAD, peers.UVICORN, peers.GRANIAN]
    with bench.running(*listed) as servers, deadline(IDLE * 2, "idle"):
        parts = {pid: part for server in servers for pid, part in _parts(server).items()}
        before = {pid: host.cpu(pid) for pid in parts}
        end = time.monotonic() + IDLE
        while (left := end - time.monotonic()) > 0:
            bench.tell("idle", 1 - left / IDLE)
            time.sleep(min(5.0, left))
        used = {pid: host.cpu(pid) - before[pid] for pid in parts}
    hours: dict[str, float] = {}
    for pid, part in parts.items():
        hours[part] = hours.get(part, 0.0) + used[pid] * 3600 / IDLE
    base = hours["master of uvicorn --workers"]
    table = Table(
        "idle", f"CPU while idle, from {IDLE:g} s, over uvicorn's master", ["process", "CPU", "CPU an hour (s)"]
    )
    for part, seconds in hours.items():
        table.add(part, f"{seconds / base:.3f}", f"{seconds:.2f}")
    table.goal("supervisor: CPU-seconds an hour at most 0.5", hours.get("corepod: supervisor", float("nan")), 0.5)
    bench.raw["idle"] = hours
    return [table]


def _parts(server: Server) -> dict[int, str]:
    if server.name.startswith("corepod"):
        return {pid: f"corepod: {role}" for pid, role in _roles(server).items()}
    if server.peer.name == "hypercorn":
        return {server.pid: "hypercorn"}
    return {
        pid: f"master of {server.name}" if pid == server.pid else f"workers of {server.name}" for pid in server.family()
    }
