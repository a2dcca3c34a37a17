"""How long requests wait: behind kube-proxy, behind the front in two ways, and in one pool with as many slots.

`make balancing` prints the table. Each of the four has pods of its own and gets the same requests at the same times:
open loop, Poisson arrivals, new connections, handlers that block without using CPU. Rounds of all kinds of load are
interleaved. `--json loadtest/bench/balancing/four_pods.json` keeps the ratios for `make bench ARGS=front`, which
compares them with its simulation.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from loadtest.bench.balancing.policies import IDEAL
from loadtest.bench.balancing.simulate import simulate
from loadtest.bench.balancing.workload import SERVICES, Workload, workload
from loadtest.bench.report import show, write_markdown
from tests.e2e.balance_report import BASE, Cell, Plan, document, table_of
from tests.e2e.kube import Refused, get, kubectl, node_address
from tests.e2e.recovery import until_steady
from tests.e2e.release import Release
from tests.e2e.side_by_side import side_by_side

if TYPE_CHECKING:
    from tests.e2e.side_by_side import Answer

NAMESPACE = "balancing"
SMALL = {"preset": "shared", "request": "20m"}  # blocked workers use no CPU
PATH = "/crash?mode=hang&seconds={:.6f}"  # of the sample application: blocks its worker without using CPU
WIDTH = 150


def systems(plan: Plan, tag: str) -> dict[str, tuple[Release, dict[str, Any]]]:
    """The releases with their values, by system."""
    usual: dict[str, Any] = {"full": False, "cpu": SMALL, "memory": {"request": "128Mi"}, "tests": {"enabled": False}}
    if tag:
        usual["image"] = {"tag": tag}
    # The front asks for a lame duck of at least 3 s; the slots of the pool may be more than the cores.
    usual["settings"] = {"lame_duck": 5, "pin": "never"}
    many: dict[str, Any] = {"replicas": plan.pods}
    front = {"enabled": True, "replicas": plan.fronts, "cpu": "20m", "service": {"type": "NodePort"}}
    pool = {"replicas": 1, "cpu": {**SMALL, "slots": plan.pods, "request": "80m"}, "memory": {"request": "384Mi"}}
    values = {
        BASE: many,
        "least": {**many, "front": front},
        "queue": {**many, "front": {**front, "concurrency": 1}},
        "pool": pool,
    }
    return {name: (Release(NAMESPACE, name.replace("-", "")), {**usual, **mine}) for name, mine in values.items()}


def install(plan: Plan, tag: str) -> dict[str, str]:
    """Install everything; returns the URLs by system."""
    urls = {}
    for name, (release, values) in systems(plan, tag).items():
        release.install(**values)
        service = release.full_name + ("-front" if "front" in values else "")
        port = get("service", service, "-n", NAMESPACE)["spec"]["ports"][0]["nodePort"]
        urls[name] = f"http://{node_address()}:{port}"
        until_steady(urls[name])
    return urls


def requests(plan: Plan, cell: Cell, number: int) -> Workload:
    """Those of round `number`, in mean service times."""
    count = round(cell.load * plan.pods * plan.seconds / plan.mean)
    return workload(cell.service, cell.load, plan.pods, count, number)


def round_of(plan: Plan, cell: Cell, urls: dict[str, str], number: int) -> None:
    work = requests(plan, cell, number)
    times = [when * plan.mean for when in work.times]
    paths = [PATH.format(service * plan.mean) for service in work.services]
    before = cpu_times()
    answers = asyncio.run(side_by_side(urls, times, paths, number))
    cell.idle.append(idle(before, cpu_times()))
    for system, found in answers.items():
        cell.add(system, good(found), sum(not answer.good for answer in found))
    cell.add("ideal", [stay * plan.mean for stay in simulate(IDEAL, work, plan.pods, number)[0]])


def good(answers: list[Answer]) -> list[float]:
    return [answer.seconds for answer in answers if answer.good] or [float("nan")]


def cpu_times() -> list[int]:
    return [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]


def idle(before: list[int], after: list[int]) -> float:
    used = [late - early for early, late in zip(before, after, strict=True)]
    return (used[3] + used[4]) / max(1, sum(used))  # idle, and waiting for a disk


def measure(plan: Plan, urls: dict[str, str]) -> list[Cell]:
    cells = [Cell(service, load) for load in plan.loads for service in plan.services]
    for number in range(plan.rounds):
        for place, cell in enumerate(cells if number % 2 == 0 else cells[::-1]):
            round_of(plan, cell, urls, 1000 * number + place)
            print(f"round {number + 1} of {plan.rounds}: {cell.service}, {cell.load:.0%}", file=sys.stderr, flush=True)
    return cells


def main() -> None:
    options = _options()
    plan = Plan(
        options.pods, options.fronts, options.rounds, options.seconds, options.mean,
        tuple(options.services), tuple(options.loads),
    )  # fmt: skip
    space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    kubectl("apply", "-f", "-", stdin=json.dumps(space))
    try:
        cells = measure(plan, install(plan, options.tag))
    finally:
        if not options.keep:
            kubectl("delete", "namespace", NAMESPACE, "--timeout=180s", deadline=200.0)
    tables = table_of(cells)
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    for table in tables:
        show(table, console)
    if options.markdown is not None:
        write_markdown(tables, options.markdown)
    if options.json is not None:
        options.json.write_text(json.dumps(document(plan, cells), indent=1) + "\n")
        console.print(f"written: {options.json}", highlight=False)


def _options() -> argparse.Namespace:
    usual = Plan()
    parser = argparse.ArgumentParser(prog="make balancing ARGS=...", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pods", type=int, default=usual.pods, help="pods of one worker, and slots of the pool")
    parser.add_argument("--fronts", type=int, default=usual.fronts, help="replicas of the front")
    parser.add_argument("--rounds", type=int, default=usual.rounds)
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="how long requests arrive in a round")
    parser.add_argument("--mean", type=float, default=usual.mean, help="seconds that a request takes on average")
    parser.add_argument("--services", nargs="+", choices=list(SERVICES), default=usual.services)
    parser.add_argument("--loads", nargs="+", type=float, default=usual.loads, help="share of the time a pod is busy")
    parser.add_argument("--tag", default="", help="tag of the workers' image; that of make kind-up by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the ratios to this file")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the tables between their markers there")
    parser.add_argument("--keep", action="store_true", help="leave the releases in their namespace")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except (Refused, OSError) as error:
        raise SystemExit(f"make balancing needs the cluster of make kind-up: {error}") from None
