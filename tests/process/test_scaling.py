"""A running pool follows the cores that it may use and, where `workers` has bounds, the load."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from corepod.cpu.cores import parse_list
from corepod.supervisor.scaling import HOLD

from tests import procfs
from tests.process.cgroup import control_group, inside
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import Traffic, workers
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

CORES = sorted(os.sched_getaffinity(0))
QUICK = ("--lame-duck", "0", "--crash-budget", "1000/60")
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
# A minute and more of calm would be a long test.
SHORT_CALM = in_place_of_supervisor(
    "from corepod.supervisor import main\n"
    "from corepod.supervisor.pool import autoscale\n"
    "autoscale.CALM = 2.0\n"
    "sys.exit(main.main())\n"
)


@pytest.fixture(autouse=True)
def _apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


def cores(pool: Pool) -> list[int | None]:
    return [slot["core"] for slot in pool.status()["slots"]]


def allowed(pid: int) -> set[tuple[int, ...]]:
    """Of its threads; nothing of a process that is gone."""
    found = set()
    with contextlib.suppress(OSError):
        for thread in procfs.threads(pid):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                found.add(parse_list(procfs.status(pid, "Cpus_allowed_list", thread)))
    return found


def settled(pool: Pool, wanted: list[int | None]) -> bool:
    """Whether these are the cores of the slots, and each is served by a worker on its core alone, and by no other."""
    slots = pool.status()["slots"]
    return (
        [slot["core"] for slot in slots] == wanted
        and all(slot["ready"] and allowed(slot["pid"]) == {(slot["core"],)} for slot in slots)
        and sorted(workers(pool)) == sorted(slot["pid"] for slot in slots)
    )


@two_cores
def test_slots_follow_the_cores_and_no_request_fails(start: Start) -> None:
    first, second = CORES[0], CORES[1]
    pool = start("ok:app", "--pin", "always", *QUICK, prefix=("taskset", "-c", f"{first},{second}")).ready()
    assert cores(pool) == [first, second]
    # A change that doesn't last changes nothing: see the count of lines at the end.
    began = time.monotonic()
    os.sched_setaffinity(pool.supervisor, {second})
    os.sched_setaffinity(pool.supervisor, {first, second})
    lasted = time.monotonic() - began >= HOLD  # this process may have been held up in between
    with Traffic(pool.port) as traffic:
        os.sched_setaffinity(pool.supervisor, {second})
        until(lambda: settled(pool, [second]), lambda: f"one worker on that core\n{pool.log}", 2 * DEADLINE)
        assert pool.status()["cores"]["usable"] == [second]
        traffic.more(20)
        os.sched_setaffinity(pool.supervisor, {first, second})
        until(lambda: settled(pool, [second, first]), lambda: f"two workers\n{pool.log}", 2 * DEADLINE)
        traffic.more(20)
    assert not traffic.failures
    assert pool.log.count("usable cores are now") == 2 or lasted
    assert pool.log.count("the usable cores have changed") == 2 or lasted
    assert not any(slot["restarts"] for slot in pool.status()["slots"])


@two_cores
@pytest.mark.parametrize("command", ["run", "pid1"])
def test_a_fixed_number_keeps_its_worker_and_moves_it(start: Start, command: str) -> None:
    first, second = CORES[0], CORES[1]
    pinned = ("--workers", "1", "--pin", "always", *QUICK)
    pool = start("ok:app", *pinned, command=command, prefix=("taskset", "-c", str(first))).ready()
    pid = pool.slot()["pid"]
    assert allowed(pid) == {(first,)}
    os.sched_setaffinity(pool.supervisor, {second})
    until(lambda: settled(pool, [second]), lambda: f"on the other core\n{pool.log}", 2 * DEADLINE)
    assert pool.slot()["pid"] == pid, "the same worker"
    # What is forked from now on begins there, too.
    os.kill(pid, signal.SIGKILL)
    pool.until_restarts(1)
    until(lambda: settled(pool, [second]), "the next one as well")


@two_cores
@pytest.mark.root
def test_slots_follow_a_quota(start: Start) -> None:
    """What `systemctl set-property CPUQuota=` and the in-place resize of a pod change."""
    two = {"cpu.cfs_quota_us": "200000", "cpu.cfs_period_us": "100000"}
    with control_group("cpu", two, {"cpu.max": "200000 100000"}) as group:
        pool = start("ok:app", *QUICK, "--pin", "never", prefix=inside(group)).ready()
        assert len(cores(pool)) == 2
        old = (group / "cpu.cfs_quota_us").exists()
        name, one, more = (
            ("cpu.cfs_quota_us", "100000", "200000") if old else ("cpu.max", "100000 100000", "200000 100000")
        )
        (group / name).write_text(one)
        until(lambda: len(cores(pool)) == 1, lambda: f"one slot\n{pool.log}", 2 * DEADLINE)
        assert "100000/100000 = 1 core" in pool.status()["cores"]["limit"]
        (group / name).write_text(more)
        until(lambda: len(cores(pool)) == 2, lambda: f"two slots\n{pool.log}", 2 * DEADLINE)
        pool.ready()
        assert pool.stop() == 0


@two_cores
def test_who_chose_a_number_by_hand_keeps_it_until_auto(start: Start) -> None:
    first, second = CORES[0], CORES[1]
    pool = start("ok:app", "--pin", "always", *QUICK, prefix=("taskset", "-c", f"{first},{second}")).ready()
    pool.signal(signal.SIGTTOU)
    until(lambda: len(cores(pool)) == 1, "one slot")
    assert pool.status()["workers"] == {"mode": "fixed", "least": 1, "most": 1}
    os.sched_setaffinity(pool.supervisor, {second})
    until(lambda: settled(pool, [second]), lambda: f"its worker has moved\n{pool.log}", 2 * DEADLINE)
    os.sched_setaffinity(pool.supervisor, {first, second})
    until(lambda: pool.status()["cores"]["usable"] == [first, second], "noticed", 2 * DEADLINE)
    assert cores(pool) == [second]


# By load


def test_slots_follow_the_load_and_no_request_fails(start: Start) -> None:
    bounds = ("--workers", "auto:1-3", "--pin", "never", "--standby", "live")
    pool = start("ok:app", *bounds, *QUICK, prefix=SHORT_CALM).ready()
    assert pool.status()["workers"] == {"mode": "load", "least": 1, "most": 3}
    assert len(cores(pool)) == 1
    # Each request blocks the loop of its worker, so that the others wait in the queue.
    with Traffic(pool.port, "/block?s=0.05", clients=8) as traffic:
        until(lambda: len(cores(pool)) == 3, lambda: f"more slots\n{pool.log}", 2 * DEADLINE)
        pool.ready()
    with Traffic(pool.port, "/pid", clients=1) as calm:
        until(lambda: len(cores(pool)) == 1, lambda: f"fewer slots\n{pool.log}", 3 * DEADLINE)
        until(lambda: len(workers(pool)) == 1, "the others have drained")
    assert not traffic.failures + calm.failures
    assert "waiting" in pool.until_log("added a slot (not pinned); there are now 3")
    metrics = pool.admin("/metrics").text
    assert "corepod_slots_min 1\n" in metrics
    assert "corepod_slots_max 3\n" in metrics
    assert pool.stop() == 0


def test_a_fixed_number_of_slots_does_not_follow_the_load(start: Start) -> None:
    """The control, and what a number that was chosen by hand means."""
    pool = start("ok:app", "--workers", "auto:1-3", "--pin", "never", *QUICK, prefix=SHORT_CALM).ready()
    pool.signal(signal.SIGTTIN)
    pool.ready(2)
    with Traffic(pool.port, "/block?s=0.05", clients=8) as traffic:
        traffic.more(100)  # five seconds of work for one worker
        assert len(cores(pool)) == 2
    assert not traffic.failures
    assert pool.log.count("added a slot") == 1


def test_bounds_that_do_not_fit_are_an_error(start: Start) -> None:
    pool = start("ok:app", "--workers", f"auto:{len(CORES) + 1}-", *QUICK)
    assert pool.wait() == 2
    assert "--pin never to let workers share cores" in pool.log


def test_the_supervisor_imports_nothing_of_it_where_nobody_asks(start: Start) -> None:
    probe = in_place_of_supervisor(
        "import atexit\n"
        "from corepod.supervisor import main\n"
        "atexit.register(lambda: print('autoscale', 'corepod.supervisor.pool.autoscale' in sys.modules))\n"
        "sys.exit(main.main())\n"
    )
    for number, loaded in (("1", False), ("auto:1-1", True)):
        pool = start("ok:app", "--workers", number, *QUICK, prefix=probe).ready()
        assert pool.stop() == 0
        assert f"autoscale {loaded}" in pool.log, sys.argv


def scale(pool: Pool, to: str, folder: Path) -> int:
    """`corepod scale`, as a user would; returns how many slots there are then."""
    command = [sys.executable, "-m", "corepod", "scale", "ok", to, "--json"]
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * DEADLINE, check=False)
    assert done.returncode == 0, f"{done.stderr}\n{pool.log}"
    return int(json.loads(done.stdout)["slots"])


@pytest.mark.parametrize(("setting", "mode", "slots"), [("auto:1-3", "load", 3), ("1", "cores", len(CORES))])
def test_auto_is_what_the_setting_says(start: Start, tmp_path: Path, setting: str, mode: str, slots: int) -> None:
    pool = start("ok:app", "--workers", setting, "--pin", "never", *QUICK).ready()
    assert scale(pool, "5", tmp_path) == 5
    assert pool.ready().status()["workers"] == {"mode": "fixed", "least": 5, "most": 5}
    assert scale(pool, "auto", tmp_path) == slots
    assert pool.status()["workers"]["mode"] == mode
