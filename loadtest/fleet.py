"""`python -m loadtest.fleet`: Locust's pods send the load, faults are injected from here, one verdict and report."""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

from loadtest.chaos import actions  # noqa: F401  they are registered by being imported
from loadtest.chaos.action import CannotInjectError
from loadtest.chaos.fleet import Fleet
from loadtest.chaos.schedule import Schedule
from loadtest.flags import chaos_of, limit_flags, limits_of
from loadtest.local import free_ports
from loadtest.report.page import render
from loadtest.report.table import show
from loadtest.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PATIENCE = 60.0  # seconds until Locust's page answers, and until its processes have stopped
RUNS = ("spawning", "running", "cleanup")  # the names of Locust's states
SPAWNED_IN = 2.0  # seconds in which all users are started


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 passed, 1 failed, 4 invalid, 2 if the run couldn't be carried out."""
    options = _arguments(argv)
    try:
        names = chaos_of(options)
        fleet = Fleet(options.namespace, options.release, options.url, options.chaos_lasts)
        with forwarded(options) as page:
            run = load(page, options, fleet, names)
    except (CannotInjectError, ValueError, OSError) as error:
        print(f"loadtest: {error}", file=sys.stderr)
        return 2
    run.limits, run.workers = limits_of(options), 0 if options.limit_balance < 0 else fleet.workers
    run.about = {"target": options.url, "release": options.release, "users": str(options.users)}
    run.settle()
    show(run)
    run.write(options.result_dir / "run.json")
    (options.result_dir / "report.html").write_text(render(run))
    return run.verdict.exit_code


def load(page: str, options: Any, fleet: Any, names: list[str]) -> Run:
    """Start the users, inject the faults, stop the users. Returns Locust's result with the events added."""
    _post(f"{page}/swarm", user_count=options.users, spawn_rate=max(1, options.users / SPAWNED_IN))
    events: list[Any] = []
    end = time.monotonic() + options.seconds
    if names:
        Schedule(options.chaos_after, options.chaos_every, options.chaos_deadline).run(
            fleet, names, events.append, lambda seconds: time.monotonic() + seconds >= end
        )
    while time.monotonic() < end:
        time.sleep(0.1)
    if (state := _state(page)) not in RUNS:
        raise OSError(f"Locust has stopped before the end of the run (state: {state}); see the logs of its pods")
    _post(f"{page}/stop")
    _until(lambda: _state(page) not in (*RUNS, "stopping"), "Locust to stop")
    run = Run.from_dict(_get(f"{page}/run.json"))
    run.events = events
    return run


@contextlib.contextmanager
def forwarded(options: argparse.Namespace) -> Iterator[str]:
    """Locust's page, brought here by kubectl."""
    (port,) = free_ports(1)
    service = f"service/{options.service or options.release + '-corepod-loadtest'}"
    command = ["kubectl", "port-forward", "-n", options.namespace, service, f"{port}:8089"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    page = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: _there(page), "Locust's page")
        _until(lambda: _get(f"{page}/stats/requests")["workers"], "a worker of Locust")
        yield page
    finally:
        process.terminate()
        process.wait()


def _state(page: str) -> str:
    return str(_get(f"{page}/stats/requests")["state"])


def _there(page: str) -> bool:
    try:
        return bool(_get(f"{page}/stats/requests"))
    except OSError:
        return False


def _until(condition: Any, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise OSError(f"waited {PATIENCE:g} s for {what}")
        time.sleep(0.2)


def _get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        data = answer.read()
    return json.loads(data)


def _post(url: str, **form: object) -> None:
    data = urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as answer:
        told = json.loads(answer.read())
    if not told.get("success"):
        raise OSError(f"{url}: {told}")


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m loadtest.fleet", description=__doc__)
    parser.add_argument("--url", required=True, help="address of the application as seen from here")
    parser.add_argument("--namespace", default="default", help="namespace of the release")
    parser.add_argument("--release", default="corepod", help="name of the release; it needs loadtest.enabled=true")
    parser.add_argument("--service", default="", help="Service of Locust's page; RELEASE-corepod-loadtest by default")
    parser.add_argument("--users", type=int, default=30, help="number of users")
    parser.add_argument("--seconds", type=float, default=120.0, help="length of the run in seconds")
    parser.add_argument(
        "--chaos", default="sigkill,delete-pod,rollout", help="faults to inject in turn, separated by commas"
    )
    parser.add_argument("--chaos-after", type=float, default=5.0, help="time before the first fault, in seconds")
    parser.add_argument("--chaos-every", type=float, default=20.0, help="time from one fault to the next, in seconds")
    parser.add_argument(
        "--chaos-lasts",
        type=float,
        default=3.0,
        help="how long block lasts, and settings.stuck_timeout, which ends hang and sigstop; in seconds",
    )
    parser.add_argument(
        "--chaos-deadline", type=float, default=90.0, help="how long the recovery from a fault may take, in seconds"
    )
    parser.add_argument(
        "--result-dir", type=Path, default=Path("loadtest/results"), help="directory for report.html and run.json"
    )
    for name, option in limit_flags(recovery=60.0).items():
        parser.add_argument(f"--{name}", **option)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
