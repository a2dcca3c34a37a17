"""How many workers there are and which core each runs on, by affinity and by quota."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from corepod.cpu.cores import format_list, parse_list

from tests import procfs
from tests.process.cgroup import control_group, inside
from tests.process.inplace import in_place_of_supervisor
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

CORES = sorted(os.sched_getaffinity(0))
QUICK = ("--lame-duck", "0", "--crash-budget", "1000/60")
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")


def allowed(pid: int) -> set[tuple[int, ...]]:
    """The sets of cores of the threads of a process."""
    return {parse_list(procfs.status(pid, "Cpus_allowed_list", thread)) for thread in procfs.threads(pid)}


@two_cores
def test_every_thread_of_a_worker_is_on_its_core(start: Start) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "always", *QUICK).ready()
    slots = pool.status()["slots"]
    assert [slot["core"] for slot in slots] == CORES[:2]
    assert all(slot["pinned"] for slot in slots)
    # Its thread pool has threads, too.
    until(lambda: all(_threads(pool, slot["pid"]) for slot in slots), "threads in both workers")
    for slot in slots:
        assert allowed(slot["pid"]) == {(slot["core"],)}
    os.kill(slots[1]["pid"], signal.SIGKILL)
    again = pool.until_restarts(1, number=1)
    assert again["core"] == CORES[1]
    assert allowed(again["pid"]) == {(CORES[1],)}
    # Who has no slot yet has every core, and so has the supervisor.
    assert allowed(pool.supervisor) == {tuple(CORES)}


def _threads(pool: Pool, pid: int) -> bool:
    pool.get("/burn?s=0.01&thread=1")
    return len(procfs.threads(pid)) > 1


def test_a_worker_is_told_its_core(start: Start) -> None:
    pool = start("ok:app", "--workers", "1", "--pin", "always", *QUICK).ready()
    answer = pool.get("/").json()
    assert (answer["core"], answer["affinity"]) == (str(CORES[0]), [CORES[0]])


def test_not_pinned(start: Start) -> None:
    """More workers than cores, where the user says so."""
    pool = start("ok:app", "--workers", str(len(CORES) + 1), "--pin", "never", *QUICK).ready()
    for slot in pool.status()["slots"]:
        assert (slot["core"], slot["pinned"]) == (None, False)
        assert allowed(slot["pid"]) == {tuple(CORES)}
    assert pool.get("/").json()["core"] == ""


@two_cores
@pytest.mark.parametrize(
    ("command", "workers", "told"),
    [("run", (), True), ("run", ("--workers", "2"), False), ("run", ("--workers", "1"), False), ("pid1", (), False)],
)
def test_who_did_not_choose_several_workers_is_told_what_that_means(
    start: Start, command: str, workers: tuple[str, ...], told: bool
) -> None:
    """Applications that keep state in the process work with the one worker of a development server, and fail here."""
    cores = ("taskset", "-c", f"{CORES[0]},{CORES[1]}")
    pool = start("ok:app", "--pin", "never", *workers, *QUICK, command=command, prefix=cores).ready()
    line = "2 workers: state kept in the process isn't shared between them; see docs/workers-and-state.md"
    assert pool.log.count(line) == told


def test_more_workers_than_cores_is_an_error(start: Start) -> None:
    pool = start("ok:app", "--workers", str(len(CORES) + 1), *QUICK)
    assert pool.wait() == 2
    assert "--pin never to let workers share cores" in pool.log


@two_cores
def test_affinity_decides(start: Start) -> None:
    core = CORES[-1]
    # Always: pools of other tests may have claimed the core, where they aren't in a container.
    pool = start("ok:app", "--pin", "always", *QUICK, prefix=("taskset", "-c", str(core))).ready()
    assert f"usable cores {core} (limit: affinity {core})" in pool.log
    (slot,) = pool.status()["slots"]
    assert slot["core"] == core
    assert allowed(slot["pid"]) == allowed(pool.supervisor) == {(core,)}
    assert allowed(int(pool.get("/spawn?s=60").text)) == {(core,)}


@two_cores
@pytest.mark.root
def test_quota_decides(start: Start) -> None:
    one = {"cpu.cfs_quota_us": "150000", "cpu.cfs_period_us": "100000"}
    with control_group("cpu", one, {"cpu.max": "150000 100000"}) as group:
        pool = start("ok:app", *QUICK, "--pin", "always", prefix=inside(group)).ready()
        status = pool.status()
        assert len(status["slots"]) == 1
        assert "150000/100000 = 1.5 cores" in status["cores"]["limit"]
        assert pool.stop() == 0


@two_cores
@pytest.mark.root
def test_a_throttled_worker_is_not_stuck(start: Start) -> None:
    """Its container may use a hundredth of a core: nothing it does is its fault."""
    with control_group(
        "cpu", {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "-1"}, {"cpu.max": "max 100000"}
    ) as group:
        limits = ("--stuck-dump", "0.5", "--stuck-timeout", "1", "--busy-after", "60")
        pool = start("ok:app", "--workers", "1", *QUICK, *limits, prefix=inside(group)).ready()
        pid = pool.slot()["pid"]
        quota = ("cpu.cfs_quota_us", "1000") if (group / "cpu.cfs_quota_us").exists() else ("cpu.max", "1000 100000")
        (group / quota[0]).write_text(quota[1])
        throttled = pool.status()["throttled_seconds"]
        assert pool.get("/burn?s=0.02").status_code == 200
        assert pool.status()["throttled_seconds"] > throttled
        (group / quota[0]).write_text("-1" if "cfs" in quota[0] else "max 100000")
        assert (pool.slot()["pid"], pool.slot()["restarts"]) == (pid, 0)
        assert "stuck" not in pool.log
        assert pool.stop() == 0


# As if outside of any container, where pools claim their cores from each other. In one, nobody could see the others.
OUTSIDE = """
from corepod.cpu import pinning
pinning.in_container = lambda root="/": False
from corepod.supervisor.main import main
sys.exit(main())
"""


@two_cores
@pytest.mark.serial
def test_pools_on_one_machine_have_cores_of_their_own(start: Start) -> None:
    outside = in_place_of_supervisor(OUTSIDE)
    only = ("taskset", "-c", f"{CORES[0]},{CORES[1]}")
    first, second = (start("ok:app", "--workers", "1", *QUICK, prefix=(*only, *outside)).ready() for _ in range(2))
    taken = [first.slot()["core"], second.slot()["core"]]
    if None in taken:
        pytest.skip("another pool on this machine holds a core")
    assert taken == CORES[:2]
    third = start("ok:app", "--workers", "1", *QUICK, prefix=(*only, *outside)).ready()
    assert third.slot()["core"] is None
    assert "other pools hold" in third.log
    # One that is killed frees its core by that, for a slot more as for a new pool.
    os.kill(first.supervisor, signal.SIGKILL)
    first.wait()
    third.signal(signal.SIGTTIN)
    until(lambda: len(third.status()["slots"]) == 2, "a slot more")
    assert third.ready().slot(1)["core"] == CORES[0]


# In a network namespace of its own, where nobody else has claims. The loopback device is down there at first.
LOOPBACK = """
import fcntl, os, socket, struct, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    fcntl.ioctl(sock, 0x8914, struct.pack("16sh22x", b"lo", 1))  # SIOCSIFFLAGS, IFF_UP
os.execv(sys.argv[1], sys.argv[1:])
"""
APART = ("unshare", "--net", sys.executable, "-c", LOOPBACK)
CONTAINER = {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}
EVERY_CORE = ("--workers", str(len(CORES)), *QUICK)


def workers(pool: Pool) -> list[int]:
    pool.until_log("] ready", len(CORES))
    return [pid for pid in procfs.descendants(pool.supervisor) if procfs.comm(pid) == "corepod-worker"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes a namespace")
def test_two_pools_in_one_container_do_not_share_their_cores(start: Start) -> None:
    first = start("ok:app", *EVERY_CORE, env=CONTAINER, prefix=APART)
    assert {allowed(pid).pop() for pid in workers(first)} == {(core,) for core in CORES}
    assert "not pinned" not in first.log
    second = start("ok:app", *EVERY_CORE, env=CONTAINER, prefix=("nsenter", f"--net=/proc/{first.supervisor}/ns/net"))
    assert {allowed(pid).pop() for pid in workers(second)} == {tuple(CORES)}
    assert f"only cores {format_list(CORES)} may be used, and other pools hold {format_list(CORES)}" in second.log


SQUAT = f"""
import os, signal, socket, sys
read, write = os.pipe()
if os.fork() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    socks = [socket.socket(socket.AF_UNIX, int(sys.argv[1])) for core in {CORES}]
    for core, sock in zip({CORES}, socks):
        sock.bind("\\0corepod/core/" + str(core))
    os.write(write, b"x")
    signal.pause()
os.read(read, 1)
os.execv(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user")
@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM], ids=["as a pool does", "another kind"])
def test_a_squatter_of_another_user_keeps_no_pool_from_its_cores_and_is_named(start: Start, kind: int) -> None:
    squat = (sys.executable, "-c", SQUAT, str(int(kind)))
    pool = start("ok:app", *EVERY_CORE, env=CONTAINER, prefix=(*APART, *squat))
    assert {allowed(pid).pop() for pid in workers(pool)} == {(core,) for core in CORES}
    for core in CORES:
        assert re.search(rf"core {core} is claimed by process \d+ of user nobody, which is no pool", pool.log)
