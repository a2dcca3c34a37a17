"""Run suites of protocol conformance against corepod, and against hypercorn and uvicorn beside it."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from loadtest.bench import host
from loadtest.bench.harness import on_term
from loadtest.bench.report import show, write_markdown
from loadtest.bench.server import Server
from loadtest.conformance import http2, requests, websocket
from loadtest.conformance.known import reason
from loadtest.conformance.peers import SERVERS
from loadtest.conformance.report import failures, overview, unexpected_lines

if TYPE_CHECKING:
    from collections.abc import Callable

    from loadtest.conformance.peers import Tested
    from loadtest.conformance.suite import Result

SUITES: dict[str, Callable[[int], list[Result]]] = {
    "requests": requests.run,
    "http2": http2.run,
    "websocket": websocket.run,
}
WIDTH = 150  # of the tables in a log


def main() -> int:
    """The exit code: 1 if corepod fails a case without a known reason, or a suite couldn't be run at all."""
    arguments = _arguments()
    console = Console(stderr=True) if sys.stderr.isatty() else Console(stderr=True, width=WIDTH)
    host.prepare()
    on_term()
    found: dict[str, dict[str, list[Result]]] = {}
    try:
        with tempfile.TemporaryDirectory(prefix="conformance-") as logs:
            for server in arguments.servers:
                found[server.name] = _run(server, arguments.suites, Path(logs), console)
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    except (RuntimeError, OSError) as error:
        console.print(str(error), highlight=False, markup=False)
        return 1
    finally:
        host.end_children()
    out = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    ours = [server.name for server in arguments.servers if server.ours]
    table = overview(found, arguments.suites)
    show(table, out)
    for line in failures(found, [server.name for server in arguments.servers] if arguments.all else ours):
        out.print(line, highlight=False, markup=False, soft_wrap=True)
    for path in arguments.markdown:
        write_markdown([table], path)
        console.print(f"written: {path}", highlight=False)
    if arguments.json:
        arguments.json.write_text(json.dumps(_document(found), indent=1))
        console.print(f"written: {arguments.json}", highlight=False)
    unexpected = list(unexpected_lines(found, ours))
    for line in unexpected:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return int(bool(unexpected))


def _run(server: Tested, suites: list[str], logs: Path, console: Console) -> dict[str, list[Result]]:
    """Each suite on a server of its own, so that none meets what another has left behind."""
    found = {}
    for suite in suites:
        if suite in server.without:
            continue
        with console.status(f"{server.name}: {suite}"):
            running = Server(server.peer, host.SERVER, logs / f"{server.name}.log", {})
            try:
                running.start()
                found[suite] = SUITES[suite](running.port)
                if not running.alive:
                    raise RuntimeError(f"{server.name} has ended during the suite {suite}")
            finally:
                running.stop()
        passed = sum(result.passed for result in found[suite])
        console.print(f"{server.name}: {suite}: {passed} of {len(found[suite])}", highlight=False)
    return found


def _document(found: dict[str, dict[str, list[Result]]]) -> dict[str, object]:
    return {
        name: {
            suite: [{**result.as_dict(), "known": reason(name, suite, result.case)} for result in results]
            for suite, results in suites.items()
        }
        for name, suites in found.items()
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make conformance ARGS=...", description=__doc__)
    parser.add_argument(
        "suites", nargs="*", metavar="SUITE", help=f"suites to run: {', '.join(SUITES)}; all by default"
    )
    parser.add_argument(
        "--server",
        dest="servers",
        action="append",
        metavar="NAME",
        help=f"servers to test: {'; '.join(server.name for server in SERVERS)}; all by default",
    )
    parser.add_argument("--all", action="store_true", help="list the failures of every server, not of corepod alone")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every case's result to this file")
    parser.add_argument(
        "--markdown",
        type=Path,
        metavar="FILE",
        action="append",
        default=[],
        help="replace the table between its markers in this file",
    )
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.suites if name not in SUITES]:
        parser.error(f"unknown suite {', '.join(unknown)}; choose from {', '.join(SUITES)}")
    if missing := [str(path) for path in arguments.markdown if not path.is_file()]:
        parser.error(f"--markdown: there is no file {', '.join(missing)}")
    named = {server.name: server for server in SERVERS}
    if unknown := [name for name in arguments.servers or () if name not in named]:
        parser.error(f"unknown server {', '.join(unknown)}; choose from {'; '.join(named)}")
    arguments.suites = arguments.suites or list(SUITES)
    arguments.servers = [named[name] for name in arguments.servers or named]
    return arguments


if __name__ == "__main__":
    sys.exit(main())
