"""What the supervisor makes of its workers' health: stuck, busy, stopped itself; and the application's own word."""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from corepod.local.client import Client as ControlClient
from corepod.supervisor.health.watchdog import FRESH

from tests.process.harness import Pool, running
from tests.process.inplace import in_place_of_supervisor
from tests.process.traffic import Client, stopped
from tests.waiting import DEADLINE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Pool]

# As far apart as tests have to be quick: what is shown between two of them has to be seen meanwhile.
# This process may not get a core for seconds, either.
STUCK_DUMP, STUCK, BUSY_AFTER, BUSY = 1.5, 6.0, 1.0, 10.0
ONE = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
LIMITS = (
    *("--stuck-dump", str(STUCK_DUMP), "--stuck-timeout", str(STUCK)),
    *("--busy-after", str(BUSY_AFTER), "--busy-timeout", str(BUSY)),
)


@pytest.fixture(scope="module")
def pool(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One worker, and limits of seconds."""
    log = tmp_path_factory.mktemp("pool") / "log"
    ready = ("--ready-path", "/health", "--ready-interval", "0.1")
    with running("duties:app", *ONE, *LIMITS, *ready, log=log) as made:
        yield made.ready()


def says(pool: Pool, why: str) -> bool:
    """Whether the pool isn't ready, and for this reason."""
    answer = pool.admin("/readyz")
    return answer.status_code == 503 and bool(re.match(why, answer.text))


@pytest.mark.parametrize("path", ["/in_a_lock", "/blink?s=1000"])
def test_stuck_is_shown_explained_and_ended(pool: Pool, path: str) -> None:
    """A lock that nobody frees; also where a thread beside the loop burns all the CPU of the process."""
    before, log = pool.ready().slot(), len(pool.log)
    control = ControlClient(pool.status()["control"])
    last = control.get("/events")["last"]  # a test before may have kept this worker busy
    lost = Client(pool, path)
    until(lambda: pool.slot()["state"] == "stuck", "the state stuck")
    until(lambda: says(pool, r"slot 0 has been stuck for \d+ s"), "not ready")
    assert pool.admin("/livez").status_code == 200
    after = pool.until_restarts(before["restarts"] + 1)
    assert lost.result() == -1
    assert after["last_exit"].startswith("stuck: its loop has been blocked without using CPU for ")
    assert after["reasons"]["stuck"] >= 1
    said = pool.log[log:]
    stuck, death = said.index("stuck: its loop"), said.index("died: stuck: ")
    dump = said.index("stacks:", stuck, death)
    events = control.get(f"/events?after={last}")["events"]
    kinds = [event["kind"] for event in events if event.get("pid") == before["pid"]]
    # Where it has to wait for a core it looks busy first, and that is told as well.
    assert kinds in (["stuck", "died"], ["stuck", "stuck", "died"])
    name = path[1:].partition("?")[0]
    assert f" in {name}" in said[dump:death]
    assert f"lost 1 in flight: GET {path.partition('?')[0]}" in said[death:]
    assert pool.get("/pid").json() == after["pid"]


def test_busy_is_shown_and_left_alone_until_its_limit(pool: Pool) -> None:
    before, log = pool.ready().slot(), len(pool.log)
    lost = Client(pool, "/for_ever")
    until(lambda: pool.slot()["state"] == "busy", "the state busy")
    # For as long as it doesn't get a core it looks stuck.
    until(lambda: says(pool, r"slot 0 has been busy for \d+ s"), "not ready")
    after = pool.until_restarts(before["restarts"] + 1)
    assert lost.result() == -1
    assert after["last_exit"].startswith("busy: ")
    said = pool.log[log:]
    busy, death = said.index("busy: its loop"), said.index("died: busy: ")
    assert "stacks:" in said[busy:death]
    assert " in for_ever" in said
    served = re.search(r"lost 1 in flight: GET /for_ever \(([\d.]+) s\)", said)
    assert served is not None
    assert float(served[1]) >= BUSY  # and not at the limit for the stuck


def test_work_that_ends_in_time_is_let_be(pool: Pool) -> None:
    """Longer than a stuck loop would be given, and than it is called ready."""
    before = pool.ready().slot()
    work = Client(pool, f"/spin?s={STUCK + 0.5}")
    until(lambda: pool.slot()["state"] == "busy", "the state busy")
    assert work.result() == 200
    after = pool.ready().slot()
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


def test_a_block_that_ends_in_time_is_let_be(start: Start, tmp_path: Path) -> None:
    """It has been seen, and its stacks have been logged."""
    # Where it has to wait for a core it looks busy, and its stacks are logged for that.
    limits = ("--stuck-dump", "0.2", "--stuck-timeout", "100", "--busy-after", "0.2", "--busy-timeout", "100")
    pool = start("duties:app", *ONE, *limits).ready()
    before = pool.slot()
    blocked = Client(pool, f"/block_until?path={tmp_path}/go")
    pool.until_log("stacks:")
    (tmp_path / "go").touch()
    assert blocked.result() == 200
    until(lambda: pool.slot()["state"] == "ready", "ready again")
    after = pool.slot()
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


def test_waiting_is_no_block(pool: Pool, tmp_path: Path) -> None:
    before, log = pool.ready().slot(), len(pool.log)
    waiting = Client(pool, f"/until?path={tmp_path}/go")
    until(lambda: pool.slot()["in_flight"] == 1, "the request in flight")
    long_enough = time.monotonic() + FRESH + STUCK_DUMP
    until(lambda: time.monotonic() > long_enough, "the time in which a block would be told of")
    # A worker that doesn't get a core looks busy for a moment, and one that is blocked for as long as it is.
    until(lambda: pool.slot()["state"] == "ready", "ready while the request waits")
    assert pool.slot()["in_flight"] == 1
    (tmp_path / "go").touch()
    assert waiting.result() == 200
    after = pool.slot()
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])
    assert "stuck: " not in pool.log[log:]


def test_a_slow_start_is_not_stuck(start: Start) -> None:
    """Import and lifespan block for longer than a worker that serves may."""
    pool = start("slow_start:app", *ONE, *LIMITS, "--standby", "none", env={"SLOW": str(STUCK + 0.4)}).ready()
    assert pool.slot()["restarts"] == 0
    assert "stuck" not in pool.log


def test_in_debug_nobody_is_ended(start: Start) -> None:
    pool = start("ok:app", *ONE, *LIMITS, "--debug").ready()
    assert pool.get(f"/block?s={STUCK + 1}").status_code == 200
    assert pool.slot()["restarts"] == 0
    assert "stacks:" not in pool.log


def test_a_supervisor_that_was_stopped_accuses_nobody(pool: Pool) -> None:
    before = pool.ready().slot()
    with stopped(pool.supervisor):
        time.sleep(STUCK + 1)
    for _ in range(20):
        assert pool.admin("/livez").status_code == 200
        time.sleep(0.05)
    until(lambda: pool.slot()["state"] == "ready", "ready again")
    after = pool.slot()
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])


def test_a_machine_that_was_stopped_accuses_nobody(start: Start) -> None:
    """The supervisor looks before the worker's loop has turned."""
    # Between the two ends of the stop, which the test makes itself, no more time may pass than these limits allow.
    pool = start("ok:app", *ONE, "--stuck-dump", str(STUCK), "--stuck-timeout", str(2 * STUCK)).ready()
    before, log = pool.slot(), len(pool.log)
    with ExitStack() as stack:
        stack.enter_context(stopped(before["pid"]))
        with stopped(pool.supervisor):
            time.sleep(STUCK + 1)
        pool.admin("/readyz")
    until(lambda: pool.slot()["state"] == "ready", "ready again")
    after = pool.slot()
    assert (after["pid"], after["restarts"]) == (before["pid"], before["restarts"])
    assert "stuck" not in pool.log[log:]


def test_a_worker_that_was_stopped_alone_is_stuck(pool: Pool) -> None:
    """Shows that the two above could fail."""
    before = pool.ready().slot()
    with stopped(before["pid"]):
        until(lambda: pool.slot()["restarts"] == before["restarts"] + 1, "ended as stuck")


LEAPING = """
import itertools, time
real, days = time.time, itertools.cycle((86_400, -86_400, 0, 400 * 86_400))
time.time = lambda: real() + next(days)
from corepod.supervisor.main import main
sys.exit(main())
"""


def test_a_wall_clock_that_leaps_changes_nothing(start: Start) -> None:
    """By a day forwards and back at every look: no kill, no storm, and the budget still counts."""
    flags = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "3/600")
    # Far below a day, and far above a second in which the worker is blocked and others have its core.
    limits = ("--stuck-dump", "10", "--stuck-timeout", "20", "--busy-after", "1", "--busy-timeout", "20")
    pool = start("ok:app", *flags, *limits, prefix=in_place_of_supervisor(LEAPING)).ready()
    for restarts in (1, 2, 3):
        os.kill(pool.slot()["pid"], signal.SIGKILL)
        pool.until_restarts(restarts)
    assert pool.get("/block?s=1").status_code == 200
    assert pool.ready().slot()["restarts"] == 3
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    assert pool.wait() == 5
    assert len({line[:10] for line in pool.log.splitlines()}) > 2  # days


# The application's own word


def test_set_ready(pool: Pool) -> None:
    pool.ready()
    pid = pool.get("/set_ready?ready=0&why=the+cache+is+cold").json()
    until(lambda: says(pool, "the application says: the cache is cold\n$"), "not ready")
    slot = pool.slot()
    assert (slot["ready"], slot["why"]) == (False, "the application says: the cache is cold")
    assert pool.admin("/livez").status_code == 200
    assert pool.get("/set_ready?ready=1").json() == pid
    until(lambda: pool.admin("/readyz").status_code == 200, "ready again")
    until(lambda: (slot := pool.slot())["ready"] and slot["why"] == "", "no reason left")


def test_ready_path(pool: Pool) -> None:
    requests = pool.ready().slot()["requests"]
    pool.get("/health?why=no+database")
    until(lambda: says(pool, "the application says: /health "), "not ready")
    pool.get("/health?why=")
    until(lambda: pool.admin("/readyz").status_code == 200, "ready again")
    assert pool.slot()["requests"] == requests + 2  # its own questions don't count


def test_one_worker_of_many_that_is_not_ready(start: Start) -> None:
    pool = start("ok:app", "--workers", "2", "--pin", "never", "--lame-duck", "0").ready()
    pool.get("/set_ready?ready=0&why=cold")
    until(lambda: not all(slot["ready"] for slot in pool.status()["slots"]), "a slot that isn't ready")
    assert pool.admin("/readyz").status_code == 200
    until(lambda: pool.get("/set_ready?ready=0&why=cold") and pool.admin("/readyz").status_code == 503, "both")


def test_a_worker_that_was_not_ready_is_forgotten_when_it_dies(pool: Pool) -> None:
    restarts = pool.ready().slot()["restarts"]
    pool.get("/set_ready?ready=0&why=cold")
    until(lambda: pool.admin("/readyz").status_code == 503, "not ready")
    os.kill(pool.slot()["pid"], signal.SIGKILL)
    pool.until_restarts(restarts + 1)
    # Nobody takes back what it said: were it remembered, this would never come.
    until(lambda: pool.admin("/readyz").status_code == 200, "ready")


def test_overload_is_shed_and_does_not_change_readiness(start: Start, tmp_path: Path) -> None:
    """Not ready, the pod would get nothing, and the others even more."""
    pool = start("duties:app", *ONE, "--limit-requests", "2").ready()
    slow = [Client(pool, f"/until?path={tmp_path}/go") for _ in range(2)]
    until(lambda: pool.slot()["in_flight"] == 2, "two requests in flight")
    for _ in range(5):
        answer = pool.get("/pid")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert pool.admin("/readyz").status_code == 200
    (tmp_path / "go").touch()
    assert [request.result() for request in slow] == [200, 200]
    assert pool.slot()["shed"] == 5
    assert pool.get("/pid").status_code == 200


# Starts that take long


@pytest.mark.parametrize(
    ("at_import", "in_lifespan", "what", "where"),
    [
        ("time.sleep(600)", "pass", "import", 'served.py", line'),
        ("", "time.sleep(600)", "lifespan startup", 'served.py", line'),
        ("", "await asyncio.sleep(600)", "lifespan startup", "lifespan startup waits here:"),
    ],
    ids=["import", "blocked lifespan", "lifespan"],
)
def test_a_start_that_hangs_says_where(
    start: Start, tmp_path: Path, at_import: str, in_lifespan: str, what: str, where: str
) -> None:
    (tmp_path / "served.py").write_text(
        f"import asyncio, time\n{at_import}\nasync def app(scope, receive, send):\n    {in_lifespan}\n"
    )
    flags = ("--workers", "1", "--pin", "never", "--chdir", str(tmp_path), "--stop-timeout", "2")
    waits = f"slot 0 is starting: the application's {what}"

    def hangs() -> Pool:
        pool = start("served:app", *flags)
        until(lambda: waits in pool.admin("/readyz").text, "the reason in /readyz", 2 * DEADLINE)
        pool.until_log(f"a start takes long: the application's {what}")
        return pool

    pool = hangs()
    if what == "import":
        # Stacks are shown once, and a busy machine may still be at the libraries then.
        while where not in pool.until_log("stacks:"):
            assert pool.stop() == 0
            pool = hangs()
    assert re.search(r"has taken 1\d s", pool.log)  # 10 s where the supervisor isn't kept waiting
    pool.until_log(where)
    assert waits in pool.slot()["why"]
    assert pool.stop() == 0
