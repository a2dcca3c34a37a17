"""Compare corepod with other servers: choose benchmarks, their number of rounds, and where to write the results."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from loadtest.bench import (
    cores,
    crash,
    dev,
    footprint,
    host,
    idle_connections,
    messages,
    mixtures,
    overhead,
    preload,
    queue,
    rolling,
    row,
    shared,
    slow_start,
    stopping,
    strangers,
)
from loadtest.bench.balancing.measure import front
from loadtest.bench.harness import Bench, ignore_signals, on_term
from loadtest.bench.operators import measure as operators
from loadtest.bench.report import Table, show, summary, write_markdown

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH = 150  # of the tables in a log
RESULTS = Path(__file__).parent / "results"
BENCHMARKS: dict[str, Callable[[Bench], list[Table]]] = {
    "b1": crash.crashes,
    "b3": row.row_of_deaths,
    "b4": slow_start.slow_starts,
    "b6-keep": overhead.kept,
    "b6-new": overhead.fresh,
    "b6-log": overhead.logged,
    "b6-idle": idle_connections.idle,
    "b6-silent": strangers.behind,
    "b8-queue": queue.queues,
    "b8-short": mixtures.short,
    "b8-mix": mixtures.mixed,
    "b10": rolling.reloads,
    "b10-recycle": rolling.recycling,
    "b11": stopping.stops,
    "b12": overhead.keep_alive,
    "b13": operators.reaction,
    "b14": operators.size,
    "b15": footprint.starts,
    "memory": footprint.memory,
    "idle": footprint.idle,
    "dev": dev.saves,
    "front": front,
    "ipc": messages.between_workers,
    "preload": preload.modes,
    "probes": cores.probes,
    "scaling": cores.scaling,
    "shared": shared.shared,
}
# Names for several, and for what is measured in one go with another.
GROUPS = {
    "b2": ["b1"],
    "b6": [name for name in BENCHMARKS if name.startswith("b6-")],
    "b8": [name for name in BENCHMARKS if name.startswith("b8-")],
    "b9": ["b8-queue"],
}
SERVERS = ("corepod", "hypercorn", "gunicorn", "uvicorn", "granian", "starlette", "fastapi", "uvloop", "httptools")


def main() -> int:
    """The exit code: 1 if a benchmark couldn't be run. A missed goal is a result, not an error."""
    arguments = _arguments()
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    if arguments.read:
        stored = [Table.from_dict(found) for path in arguments.read for found in json.loads(path.read_text())["tables"]]
        _publish(arguments, list({table.key: table for table in stored}.values()), console)
        return 0
    host.prepare()
    on_term()
    bench = Bench(
        console, arguments.rounds, thorough=arguments.thorough, patience=arguments.patience, cpa=arguments.cpa
    )
    started = time.strftime("%Y%m%dT%H%M%S")
    tables: list[Table] = []
    code = 1
    console.print(_machine(), highlight=False)
    try:
        code = _run(arguments.names, bench, tables)
    except KeyboardInterrupt:
        console.print("interrupted")
        code = 130
    finally:
        ignore_signals()
        host.end_children()
        bench.close()
        _store(arguments, bench, tables, started)
    if code != 130:
        _publish(arguments, tables, console)
    return code


def _run(names: list[str], bench: Bench, tables: list[Table]) -> int:
    code = 0
    for name in chosen(names):
        if not bench.console.is_terminal:
            bench.console.print(f"{name} …")
        try:
            with bench.progress:
                found = BENCHMARKS[name](bench)
        except Exception as error:  # one benchmark's failure must not cost the others' results
            code = 1
            bench.console.print(f"{name} failed: {error or type(error).__name__}", highlight=False, markup=False)
            continue
        tables += found
        for table in found:
            show(table, bench.console)
    return code


def chosen(names: list[str]) -> list[str]:
    """The benchmarks that these names mean, each once; all for none."""
    return list(dict.fromkeys(one for name in names or BENCHMARKS for one in GROUPS.get(name, [name])))


def _store(arguments: argparse.Namespace, bench: Bench, tables: list[Table], started: str) -> None:
    """Tables and every single measurement."""
    document: dict[str, Any] = {
        "started": started,
        "machine": _machine(),
        "tables": [table.as_dict() for table in tables],
        "raw": bench.raw,
    }
    RESULTS.mkdir(exist_ok=True)
    for path in {RESULTS / f"{started}.json", *([arguments.json] if arguments.json else [])}:
        path.write_text(json.dumps(document, default=_jsonable))
        bench.console.print(f"written: {path}", highlight=False)


def _publish(arguments: argparse.Namespace, tables: list[Table], console: Console) -> None:
    if len(tables) > 1:
        tables = [*tables, summary(tables)]
        show(tables[-1], console)
    for path in arguments.markdown:
        console.print(f"written: {path}, tables {', '.join(write_markdown(tables, path)) or 'none'}", highlight=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    every = [*BENCHMARKS, *GROUPS]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"benchmarks to run: {', '.join(every)}; all by default"
    )
    parser.add_argument("--rounds", type=int, help="number of rounds of each benchmark")
    parser.add_argument(
        "--thorough", action="store_true", help="use the numbers of rounds that docs/benchmarks.md was measured with"
    )
    parser.add_argument(
        "--patience",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="before each round, wait at most so long until other processes use little CPU",
    )
    parser.add_argument(
        "--cpa",
        type=Path,
        metavar="FILE",
        help="b13: binary of cluster-proportional-autoscaler, which is then measured, too",
    )
    parser.add_argument(
        "--read",
        type=Path,
        metavar="FILE",
        nargs="+",
        help="measure nothing; use the tables in these result files, the last one if several have the same",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the tables and all measurements to this file")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="replace the tables between their markers in this file",
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.names if name not in every]:
        parser.error(f"unknown benchmark {', '.join(unknown)}; choose from {', '.join(every)}")
    if arguments.cpa is not None and not arguments.cpa.is_file():
        parser.error(f"--cpa: there is no file {arguments.cpa}")
    if arguments.rounds is not None and arguments.rounds < 1:
        parser.error("--rounds has to be at least 1")
    return arguments


def _machine() -> str:
    versions = ", ".join(f"{name} {version(name)}" for name in SERVERS)
    cores = f"{len(host.CORES)} cores, server on {min(host.SERVER)}, client on {min(host.CLIENT)}"
    return f"Python {platform.python_version()}, Linux {platform.release()}, {cores}\n{versions}"


def _jsonable(value: Any) -> Any:
    return vars(value) if hasattr(value, "__dict__") else str(value)


if __name__ == "__main__":
    sys.exit(main())
