"""Workers that have reached a limit make way for new ones: one after the other, and no request fails."""

from __future__ import annotations

import contextlib
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from corepod.contract.exits import EXIT_FAILED, EXIT_OK
from corepod.supervisor.pool.recycle import LEAST_LIFE

from tests.process.cgroup import control_group, inside
from tests.process.harness import APPS
from tests.process.inplace import in_place_of_supervisor
from tests.process.test_reload import Code
from tests.process.traffic import Traffic, ask, workers
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.process.harness import Pool

    Start = Callable[..., Pool]

# The supervisor with shorter times: a worker that has just come may go, a failure is followed by an attempt.
EAGER = """
from corepod.supervisor.health import recycling
from corepod.supervisor.pool import recycle
recycle.LEAST_LIFE = recycle.LONGEST_LEAST_LIFE = 0.2
recycle.FIRST_PAUSE = 0.3
recycling.SOON = recycling.SELDOM = 0.1
{more}
from corepod.supervisor.main import main
sys.exit(main())
"""
KILLS = """
from corepod.supervisor.pool.processes import Processes
Processes.retire = lambda self, process, now: self.kill(process, "recycled")
"""
# A minute passes in a second, and the clock is looked at as often.
FAST_CLOCK = """
import time
recycling.LONGEST = 0.1
recycling.Recycling.__init__.__defaults__ = (lambda: time.time() * 60,)
"""
# What is chosen by chance is half of what it may be.
NO_CHANCE = """
from corepod.supervisor import supervisor
supervisor._random = lambda: 0.5
"""
STEP = re.compile(r"slot (\d+) .*\] (makes way|ready)")


SECTION = "## Recycling: a new worker in time"


def documented() -> list[str]:
    """The commands that the runbook shows."""
    text = (Path(__file__).parents[2] / "docs/operations.md").read_text().partition(SECTION)[2].partition("\n## ")[0]
    return re.findall(r"^    (corepod run .*)$", text, re.MULTILINE)


def eager(more: str = "") -> tuple[str, ...]:
    return in_place_of_supervisor(EAGER.format(more=more))


def replaced(pool: Pool, reason: str, times: int = 1) -> None:
    """Wait until each slot's worker has been replaced so often for this reason."""
    until(
        lambda: all(slot["replaced"].get(reason, 0) >= times for slot in pool.status()["slots"]),
        lambda: (
            f"{times} replacements of each worker: {[slot['replaced'] for slot in pool.status()['slots']]}\n{pool.log}"
        ),
        2 * DEADLINE,
    )


def steps(pool: Pool) -> list[tuple[str, str]]:
    """Slot and what happened there, in order, from the first replacement on."""
    found = STEP.findall(pool.log)
    return found[next(i for i, (_, what) in enumerate(found) if what != "ready") :]


def one_after_the_other(pool: Pool) -> None:
    """The next one begins when the new worker of the last one is ready."""
    slots = [slot for slot, _ in steps(pool)]
    assert slots[: len(slots) // 2 * 2 : 2] == slots[1::2]
    assert all(what == ("ready" if i % 2 else "makes way") for i, (_, what) in enumerate(steps(pool)))


def nothing_died(pool: Pool) -> None:
    for slot in pool.status()["slots"]:
        assert (slot["restarts"], slot["reasons"], slot["lost"]) == (0, {}, 0)


@pytest.mark.parametrize("line", documented())
def test_the_commands_of_the_runbook(start: Start, tmp_path: Path, line: str) -> None:
    (tmp_path / "main.py").write_text("from ok import app\n")
    _, command, app, *flags = shlex.split(line)
    env = {"PYTHONPATH": str(APPS)}
    pool = start(app, *flags, "--workers", "1", cwd=tmp_path, command=command, env=env).ready()
    assert ask(pool.port, "/pid") == str(pool.slot()["pid"])
    assert pool.stop() == 0


def test_the_runbook_shows_each_limit() -> None:
    limits = {"--max-requests", "--max-age", "--max-memory", "--recycle-at"}
    assert {word for line in documented() for word in shlex.split(line)} >= limits


@pytest.mark.parametrize(
    ("flags", "keep_alive", "times"),
    [
        ((), False, 2),
        ((), True, 2),
        (("--preload", "application", "--standby", "live"), True, 1),
        (("--preload", "nothing", "--standby", "none"), False, 1),
        (("--no-overlap",), True, 1),
    ],
)
def test_no_request_fails(start: Start, flags: tuple[str, ...], keep_alive: bool, times: int) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--max-requests", "20", *flags, prefix=eager()).ready()
    with Traffic(pool.port, "/sleep?s=0.02", 4, keep_alive=keep_alive) as traffic:
        replaced(pool, "requests", times)
        traffic.more(20)
    assert traffic.failures == []
    assert len(traffic.answers) >= 1 + 2 * times, "many workers have answered"
    nothing_died(pool)
    one_after_the_other(pool)
    assert 'corepod_worker_replaced_total{slot="0",reason="requests"}' in pool.admin("/metrics").text


def test_where_old_workers_are_killed_requests_fail(start: Start) -> None:
    """So the test above can fail."""
    flags = ("--workers", "2", "--pin", "never", "--max-requests", "20")
    pool = start("ok:app", *flags, prefix=eager(KILLS)).ready()
    with Traffic(pool.port, "/sleep?s=0.02", 4) as traffic:
        until(lambda: traffic.failures, "a request that fails")


def test_the_limit_is_chosen_for_each_worker(start: Start) -> None:
    flags = ("--workers", "2", "--pin", "never", "--max-requests", "20", "--max-requests-jitter", "1000000")
    pool = start("ok:app", *flags, prefix=eager(NO_CHANCE)).ready()
    with Traffic(pool.port) as traffic:
        traffic.more(200)
    assert [slot["replaced"] for slot in pool.status()["slots"]] == [{}, {}]


def test_a_pod_with_one_worker(start: Start) -> None:
    flags = ("--lame-duck", "0", "--max-age", "0.5", "--max-age-jitter", "0.1")
    pool = start("ok:app", *flags, prefix=eager(), command="pid1").ready()
    with Traffic(pool.port, "/sleep?s=0.02", keep_alive=True) as traffic:
        replaced(pool, "age", 3)
        traffic.more(5)
    assert traffic.failures == []
    nothing_died(pool)
    assert pool.stop() == 0


def test_by_the_clock(start: Start) -> None:
    """Every worker, one after the other, each time."""
    flags = ("--workers", "2", "--pin", "never", "--recycle-at", "*/5 * * * *")
    pool = start("ok:app", *flags, prefix=eager(FAST_CLOCK)).ready()
    assert pool.status()["next_recycling_at"] % 300 == 0
    replaced(pool, "schedule", 2)
    one_after_the_other(pool)
    nothing_died(pool)
    assert "it is time by the schedule */5 * * * *" in pool.log


def test_a_worker_that_has_grown(start: Start) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--max-memory", "150m", prefix=eager()).ready()
    pids = [str(slot["pid"]) for slot in pool.status()["slots"]]
    grown = ask(pool.port, "/memory?mb=200")
    slot = pids.index(grown)
    until(lambda: pool.slot(slot)["replaced"] == {"memory": 1}, "replaced for its memory")
    assert str(pool.slot(slot)["pid"]) != grown
    assert pool.slot(1 - slot)["replaced"] == {}
    assert re.search(
        r"makes way for a new worker: it uses \d+ MB of memory of its own, and max_memory is 150 MB", pool.log
    )
    nothing_died(pool)


LEAKY = ("--workers", "1", "--pin", "never", "--crash-budget", "1000/60")
ROOM = 256  # MB


def leaks(pool: Pool, over: Callable[[dict[str, Any]], bool]) -> None:
    """Ask for a little more memory again and again, until it is over. While one worker takes over from another nothing
    more is asked for: on a busy machine that may take longer than the leak would need."""

    def more() -> bool:
        slot = pool.slot()
        if over(slot):
            return True
        if not slot["being_replaced"] and len(workers(pool)) == 1:
            with contextlib.suppress(OSError):
                ask(pool.port, "/memory?mb=8")
        return False

    # Slow enough that the supervisor looks between two steps, or a few.
    until(more, lambda: f"an end of the leak\n{pool.log}", 2 * DEADLINE, pause=0.05)


def test_a_leak_ends_before_the_kernel_ends_it(start: Start) -> None:
    """The share is that of the control group's limit."""
    text = f"{ROOM}M"
    with control_group("memory", {"memory.limit_in_bytes": text}, {"memory.max": text}) as group:
        flags = (*LEAKY, "--max-memory", "60%")
        pool = start("ok:app", *flags, prefix=(*inside(group), *eager())).ready()
        leaks(pool, lambda slot: slot["replaced"].get("memory", 0) >= 2)
        assert re.search(
            rf"the container's memory is short \(\d+ MB of {ROOM} MB are in use, and max_memory is 60%\)", pool.log
        )
        nothing_died(pool)
        pool.close()


def test_without_the_limit_the_kernel_ends_it(start: Start) -> None:
    """So the test above can fail."""
    text = f"{ROOM}M"
    with control_group("memory", {"memory.limit_in_bytes": text}, {"memory.max": text}) as group:
        pool = start("ok:app", *LEAKY, prefix=inside(group)).ready()
        leaks(pool, lambda slot: slot["restarts"] > 0)
        assert "oom" in pool.slot()["reasons"]
        pool.close()


def test_a_share_of_no_limit_is_told(start: Start) -> None:
    pool = start("ok:app", *LEAKY, "--max-memory", "80%").ready()
    if "max_memory has no effect" not in pool.log:
        pytest.skip("this machine limits the memory of the tests")
    assert pool.log.count("max_memory has no effect: the container has no limit of memory") == 1


def test_a_new_worker_that_is_not_ready_leaves_the_old_one(start: Start, tmp_path: Path) -> None:
    """It is tried again, and said once."""
    flag = tmp_path / "flag"
    flags = ("--workers", "2", "--pin", "never", "--max-age", "1")
    pool = start("flagged:app", *flags, env={"FAIL_WHILE": str(flag)}, prefix=eager()).ready()
    flag.touch()
    pool.until_log("keeps its worker: the new one didn't become ready")
    serving = {slot["pid"] for slot in pool.status()["slots"]}
    with Traffic(pool.port) as traffic:
        pool.until_log("the queue is held by somebody else", 4)  # as many attempts
        traffic.more(10)
    assert traffic.failures == []
    assert {slot["pid"] for slot in pool.status()["slots"]} & serving, "they stay"
    assert pool.log.count("keeps its worker") <= 2, "once for each slot"
    flag.unlink()
    replaced(pool, "age")
    nothing_died(pool)


def test_code_that_is_broken_meanwhile_leaves_the_old_one(start: Start, tmp_path: Path) -> None:
    """Each worker imports the application itself."""
    code = Code(tmp_path, start)
    pool = code.start("--standby", "none", "--max-age", "1", workers=1).ready()
    code.write(2, at_import="raise RuntimeError('half an edit')")
    log = pool.until_log("slot 0 keeps its worker: the application can't be loaded")
    # The one that was to go last: where this machine is slow, another one has gone before the edit.
    assert pool.slot()["pid"] == int(re.findall(r"pid (\d+)\] makes way", log)[-1])
    assert ask(pool.port, "/version") == "1"
    until(lambda: (slot := pool.slot())["replacing"] == "" and not slot["being_replaced"], "the end of the attempt")
    code.write(3)
    # The pause after an attempt that fails is ten seconds, and after one more twice as long.
    until(lambda: ask(pool.port, "/version") == "3", lambda: f"the new one\n{pool.log}", 2 * DEADLINE)
    nothing_died(pool)


def test_a_restart_of_broken_code_ends_with_the_reason(start: Start, tmp_path: Path) -> None:
    """The command of the user who asks for it."""
    code = Code(tmp_path, start)
    pool = code.start("--standby", "none", "--control", str(tmp_path / "socket")).ready()
    first = pool.slot()["pid"]

    def restart() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "corepod", "restart", f"{tmp_path / 'socket'}/0"]
        return subprocess.run(command, capture_output=True, text=True, timeout=2 * DEADLINE, check=False)

    code.write(2, at_import="raise RuntimeError('half an edit')")
    failed = restart()
    assert failed.returncode == EXIT_FAILED, failed
    assert "half an edit" in failed.stderr
    assert pool.slot()["pid"] == first
    code.write(3)
    again = restart()
    assert again.returncode == EXIT_OK, f"{again}\n{pool.log}"
    # The old one accepts until it has been scheduled.
    until(lambda: ask(pool.port, "/version") == "3", "the new one alone")
    assert pool.slot()["replaced"] == {"asked": 1}


def test_a_limit_that_is_too_low_is_no_storm(start: Start) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--max-requests", "1").ready()
    with Traffic(pool.port) as traffic:
        replaced(pool, "requests", 1)
        pool.until_log("Raise max_requests")
    assert traffic.failures == []
    assert pool.log.count("Raise max_requests") == 1
    assert f"a worker serves for at least {LEAST_LIFE:g} s" in pool.log
    assert max(Counter(map(int, re.findall(r"it has served (\d+) requests", pool.log)))) > 1


def test_neither_in_a_reload_nor_in_a_stop(start: Start) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--max-age", "0.3", prefix=eager()).ready()
    for count in (1, 2, 3):
        pool.signal(signal.SIGHUP)
        pool.until_log("reload: done", count)
    log = pool.log
    for part in re.findall(r"reload: loading the new code(.*?)reload: done", log, re.DOTALL):
        assert "makes way" not in part
    assert pool.stop() == 0
    assert "makes way" not in pool.log.partition("draining for at most")[2]
    assert "died" not in pool.log
