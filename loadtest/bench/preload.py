"""What workers share: the three modes of `--preload` beside gunicorn's two and uvicorn, on an application whose import
is slow and large. Most of it is a library, the rest its own."""

from __future__ import annotations

import contextlib
import math
import sysconfig
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from loadtest.bench import host, peers
from loadtest.bench.crash import death
from loadtest.bench.report import Table
from loadtest.bench.stats import abba

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loadtest.bench.harness import Bench
    from loadtest.bench.server import Server

WORKERS = 4
# In the proportions of an application with FastAPI, 120 pydantic models, SQLAlchemy, numpy and a table of 60 000 rows.
LIBRARY_SECONDS, LIBRARY_MB = 1.3, 70
OWN_SECONDS, OWN_MB = 0.3, 30
LIBRARIES = [f"corepod_bench_library_{number}" for number in range(10)]
HEAVY = {"BENCH_LIBRARIES": " ".join(LIBRARIES), "BENCH_IMPORT_SECONDS": OWN_SECONDS, "BENCH_IMPORT_MB": OWN_MB}
CODE = f"""
import time
end = time.thread_time() + {LIBRARY_SECONDS / len(LIBRARIES)}
while time.thread_time() < end:
    sum(range(1000))
BALLAST = bytearray({LIBRARY_MB // len(LIBRARIES)} << 20)
BALLAST[::4096] = b"x" * len(BALLAST[::4096])
"""
LONGEST = 30.0  # seconds in which a server has to come back
MODES = ("libraries", "application", "nothing")


def modes(bench: Bench) -> list[Table]:
    """Boot, memory and the second of two deaths in a row."""
    ours = [peers.corepod("--preload", mode, "--pin", "never", name=f"corepod, {mode}") for mode in MODES]
    more = peers.corepod("--standbys", "2", "--pin", "never", name="corepod, libraries, 2 standbys")
    others = [peers.PRELOAD, peers.GUNICORN, peers.UVICORN]
    listed = [peer.with_env(**HEAVY) for peer in (*ours, more, *others)]

    def one(number: int) -> dict[str, Any]:
        found = {}
        for peer in abba(listed, number):
            bench.tell(f"boot {peer.name}")
            four = peer.of(WORKERS)
            start = time.monotonic()
            with bench.running(four, cores=set(host.CORES)) as (server,):
                boot = server.complete - start
                memory = sum(host.pss(pid) for pid in server.family())
            found[peer.name] = {"boot": boot, "memory": memory, "second": math.nan}
            if peer.name == peers.UVICORN.name:
                continue  # with one worker it has no master that would start another
            with bench.running(peer.of(1)) as (server,):
                found[peer.name]["second"] = _second_death(server)
        return found

    with _libraries():
        done = bench.rounds("preload", bench.count(3, 9), one)
    middle = {
        peer.name: {key: median(r[peer.name][key] for r in done.results) for key in ("boot", "memory", "second")}
        for peer in listed
    }
    table = Table(
        "preload",
        f"an import that is mostly libraries, {WORKERS} workers and two deaths in a row, over gunicorn without preload",
        ["server", "boot", "PSS of all", "second death", "boot (s)", "PSS (MB)", "second death (ms)"],
    )
    base = middle[peers.GUNICORN.name]
    for name, row in middle.items():
        ratios = [f"{row[key] / base[key]:.2f}" for key in ("boot", "memory", "second")]
        values = [f"{row['boot']:.2f}", f"{row['memory'] / 1e6:.0f}", f"{1000 * row['second']:.0f}"]
        table.add(name, *(cell if cell != "nan" else "-" for cell in (*ratios, *values)))
    libraries = middle["corepod, libraries"]
    table.goal("libraries: boot at most 0.6", libraries["boot"] / base["boot"], 0.6)
    table.goal("libraries: second death at most 0.4", libraries["second"] / base["second"], 0.4)
    memory = libraries["memory"]
    table.goal("libraries: PSS over application at most 1.35", memory / middle["corepod, application"]["memory"], 1.35)
    table.goal("libraries: PSS over uvicorn at most 0.75", memory / middle[peers.UVICORN.name]["memory"], 0.75)
    table.notes = done.notes
    return [table]


@contextlib.contextmanager
def _libraries() -> Iterator[None]:
    """Libraries that are slow and large to import, where libraries are."""
    paths = [Path(sysconfig.get_path("purelib")) / f"{name}.py" for name in LIBRARIES]
    try:
        for path in paths:
            path.write_text(CODE)
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def _second_death(server: Server) -> float:
    """Seconds from the second death to the next 200, right after the first one's."""
    for _ in range(2):
        result = death(server, before=0.004, after=LONGEST, step=0.005, early=True)
    return float(result["recovery"])
