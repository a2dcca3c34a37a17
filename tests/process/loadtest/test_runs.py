"""Short runs of the real load test: it passes, it fails, it is invalid, each for its reason.

Locust stays in a process of its own: it changes the standard library for whoever imports it.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from loadtest.fleet import load
from loadtest.local import free_ports
from loadtest.run import Run
from tests.process.harness import CLIENT
from tests.procfs import alive, command, descendants
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.process.harness import Pool

ROOT = Path(__file__).parents[3]
LOCUST = (sys.executable, "-m", "locust", "-f", str(ROOT / "loadtest/locustfile.py"), "--skip-log-setup")
ENDS = 150.0  # seconds in which a run has ended: Locust alone is some seconds of CPU before it begins
# Other work on the machine must not decide: what is slow or late isn't what these tests are about.
PATIENT = {"p95": 9, "p99": 9, "recovery": 60, "answer": 60, "late": -1, "cpu": -1, "balance": -1}


def limits(**changed: float) -> list[str]:
    return [f"--limit-{name}={value}" for name, value in {**PATIENT, **changed}.items()]


@contextlib.contextmanager
def started(*command: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends, and all below it: nothing may be left behind."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    family = {process.pid}
    try:
        yield process
        family |= set(descendants(process.pid))
    finally:
        if process.poll() is None:
            family |= set(descendants(process.pid))
            process.terminate()
            try:
                process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    until(lambda: not any(map(alive, family)), f"nothing left of {family}")


def run_here(folder: Path, *arguments: str) -> tuple[int, Run, str]:
    """`make loadtest` with these arguments: exit code, result and what it said."""
    log = folder / "log"
    command = (sys.executable, "-m", "loadtest", "--workers=2", "--result-dir", str(folder / "deep"))
    with started(*command, "--users=16", *arguments, log=log) as process:
        code = process.wait(ENDS)
    said = log.read_text()
    assert (folder / "deep/run.json").exists(), said
    return code, Run.read(folder / "deep/run.json"), said


def test_a_pool_passes_under_fire(tmp_path: Path) -> None:
    # What takes longest comes last: it has only to begin in time.
    chaos = ("--chaos=sigkill,kill-supervisor,reload", "--chaos-after=1", "--chaos-every=6", "--chaos-deadline=55")
    code, run, said = run_here(tmp_path, "--seconds=30", *chaos, *limits(errors=0.01))
    assert code == 0, said
    assert [event.action for event in run.events[:3]] == ["sigkill", "kill-supervisor", "reload"], said
    assert all(event.back is not None and event.answer is not None for event in run.events), said
    assert run.tally.outcomes.total() > 50
    # One may send on a kept connection in the moment in which a worker that retires closes it.
    assert sum(run.toll.others.values()) <= sum(event.action == "reload" for event in run.events), said
    assert "passed" in said.splitlines()[-2]
    page = (tmp_path / "deep/report.html").read_text()
    assert "passed" in page
    # What it shows is in it: nothing is fetched, and nothing runs.
    assert not re.search(r"<script|<link|@import|url\(|src=", page)


def test_the_same_kills_fail_a_bare_server(tmp_path: Path) -> None:
    """The negative control: hypercorn with as many workers ends when one of them is killed."""
    chaos = ("--chaos=sigkill", "--chaos-after=1", "--chaos-every=2", "--chaos-deadline=1")
    code, run, said = run_here(tmp_path, "--server=hypercorn", "--no-again", "--seconds=15", *chaos, *limits())
    assert code == 1, said
    assert run.toll.others["refused"] > 0
    assert {check.name for check in run.verdict.checks if not check.good} >= {"errors", "refused", "recovery"}


def test_a_generator_that_could_not_keep_up_makes_the_run_invalid(tmp_path: Path) -> None:
    # Long enough that the run isn't over when the load is noticed.
    command = (sys.executable, "-m", "loadtest", "--workers=2", "--users=16", "--seconds=15", "--chaos=")
    # Many on a schedule, and all users there: some are due while the generator stands still.
    arguments = ("--result-dir", str(tmp_path), "--rate=5", "Arrivals", *limits(late=0.2, p95=0.001))
    with started(*command, *arguments, log=tmp_path / "log") as process:
        generator = until(lambda: next(filter(_is_locust, descendants(process.pid)), 0), "the generator")
        log = tmp_path / "server.log"  # made before the generator
        port = until(lambda: re.search(r"admin on 127\.0\.0\.1:(\d+)", log.read_text()), "the pool's log")[1]  # type: ignore[index]
        until(lambda: _requests(port) > 80, "load")
        with _held(generator):
            time.sleep(1.0)  # what the generator should have sent meanwhile is late by as much
        code = process.wait(ENDS)
    run = Run.read(tmp_path / "run.json")
    assert (code, run.verdict.state) == (4, "invalid"), (tmp_path / "log").read_text()


def _is_locust(pid: int) -> bool:
    return any("locustfile.py" in word for word in command(pid))


def _requests(admin: str) -> int:
    slots: list[dict[str, Any]] = CLIENT.get(f"http://127.0.0.1:{admin}/status").json()["slots"]
    return sum(slot["requests"] for slot in slots)


@contextlib.contextmanager
def _held(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture
def pool(start: Callable[..., Pool]) -> Pool:
    return start("corepod.demo:app", "--workers", "2", "--pin", "never").ready()


def test_a_ramp_says_which_rate_it_found(pool: Pool, tmp_path: Path) -> None:
    """No rate meets an objective that nobody can meet: it tries less and less, and the verdict says so."""
    arguments = ("--headless", "--only-summary", f"--host=http://127.0.0.1:{pool.port}", f"--result-dir={tmp_path}")
    # So many seconds that each step has arrivals, which come by chance.
    ramp = ("--shape=ramp", "--users=1", "--rate=2", "--step-time=6", *limits(p95=0.000001, rate=1))
    with started(*LOCUST, *arguments, *ramp, "--arrival-path=/healthz", log=tmp_path / "log") as process:
        code = process.wait(ENDS)
    run = Run.read(tmp_path / "run.json")
    assert [(step["rate"], step["met"]) for step in run.steps] == [(2.0, False), (1.0, False)]
    assert (code, run.highest) == (1, 0.0)


def test_what_workers_of_the_generator_measure_comes_together_at_the_master(pool: Pool, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    host = (f"--host=http://127.0.0.1:{pool.port}", f"--master-port={port}")
    # Workers of the generator report every three seconds: on a busy machine the first report may be late, too.
    arguments = ("--headless", "--only-summary", "--expect-workers=2", "--users=16", "--run-time=15")
    result = (f"--result-dir={tmp_path}", f"--admin=http://127.0.0.1:{pool.admin_port}", *limits())
    with contextlib.ExitStack() as stack:
        master = stack.enter_context(
            started(*LOCUST, *host, *arguments, *result, "--master", f"--master-bind-port={port}", log=tmp_path / "log")
        )
        for number in range(2):
            log = tmp_path / f"worker{number}.log"
            stack.enter_context(started(*LOCUST, *host, "--worker", "--master-host=127.0.0.1", log=log))
        code = master.wait(ENDS)
    run = Run.read(tmp_path / "run.json")
    assert code == 0, (tmp_path / "log").read_text()
    # Their last reports may come when the master has ended its count.
    assert 0.5 * pool.status()["slots"][0]["requests"] < run.tally.outcomes.total()
    assert run.workers == 2
    assert run.cpu is not None


def test_the_web_page_has_a_tab_with_who_answered_and_is_driven_from_outside(pool: Pool, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    page = f"http://127.0.0.1:{port}"
    arguments = (f"--host=http://127.0.0.1:{pool.port}", "--web-host=127.0.0.1", f"--web-port={port}")
    with started(*LOCUST, *arguments, log=tmp_path / "log"):
        until(lambda: _answers(page), "Locust's page")
        assert CLIENT.get(page).text.count("corepod-workers") >= 2
        run = load(page, SimpleNamespace(users=12, seconds=6.0), None, [])
        tables: list[dict[str, Any]] = CLIENT.get(f"{page}/stats/requests").json()["extended_stats"]
        (rows,) = (table["data"] for table in tables if table["key"] == "corepod-workers")
        assert "Load test" in CLIENT.get(f"{page}/report").text
    assert {row["place"] for row in rows} == {"slot 0", "slot 1"}
    assert sum(row["answers"] for row in rows) == run.tally.outcomes["ok"] > 10
    assert not run.tally.failures
    assert 5 < run.duration < 120


def _answers(page: str) -> bool:
    try:
        return CLIENT.get(page).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("flag", "complaint"),
    [("--chaos=quake", "no action quake"), ("--compare=/nowhere.json", "No such file")],
)
def test_what_cannot_be_done_is_said_before_anything_starts(flag: str, complaint: str, tmp_path: Path) -> None:
    arguments = ("--headless", "--host=http://127.0.0.1:1", flag)
    with started(*LOCUST, *arguments, log=tmp_path / "log") as process:
        assert process.wait(ENDS) == 2
    assert complaint in (tmp_path / "log").read_text()
