"""Duties of PID 1, as PID 1 of a namespace and as an ordinary process (a subreaper): orphans, and what is left."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests import procfs
from tests.process.container import Container
from tests.process.harness import Pool
from tests.process.traffic import stopped, zombies
from tests.procfs import alive, descendants
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., Pool]

QUICK = ("--workers", "1", "--lame-duck", "0", "--crash-budget", "1000/60")
KINDS = [pytest.param(Container, id="as PID 1", marks=pytest.mark.root), pytest.param(Pool, id="as a subreaper")]


@pytest.fixture(scope="module", params=KINDS)
def pool(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pool]:
    """One pool of each kind for all tests that leave it in order."""
    made = request.param("ok:app", *QUICK, log=tmp_path_factory.mktemp("pool") / "log")
    try:
        yield made.ready()
    finally:
        made.close()


def children(pid: int) -> set[int]:
    return {below for below in descendants(pid) if parent_of(below) == pid}


def parent_of(pid: int) -> int | None:
    with contextlib.suppress(OSError):
        return procfs.parent(pid)
    return None


def adopted(pool: Pool, before: set[int]) -> set[int]:
    """The processes that the supervisor has become the parent of."""
    return children(pool.supervisor) - before


@pytest.mark.parametrize("code", [0, 3, 4, 255])
def test_orphans_are_reaped_and_their_exit_code_changes_nothing(pool: Pool, code: int) -> None:
    pool.ready()
    before, slot = children(pool.supervisor), pool.slot()
    with stopped(pool.supervisor):  # it reaps none before they have been seen
        pool.get(f"/orphans?n=5&code={code}&s=0.3")
        assert until(lambda: adopted(pool, before), "an orphan as the supervisor's child")
    until(lambda: not adopted(pool, before), "the orphans reaped")
    assert (pool.slot()["pid"], pool.slot()["restarts"]) == (slot["pid"], slot["restarts"])


def test_what_a_dead_worker_had_started_is_adopted_and_reaped(pool: Pool) -> None:
    slot = pool.ready().slot()
    grandchild = pool.outside(int(pool.get("/spawn?s=300").text))
    os.kill(pool.outside(slot["pid"]), signal.SIGKILL)
    pool.until_restarts(slot["restarts"] + 1)
    until(lambda: parent_of(grandchild) == pool.supervisor, "the grandchild adopted")
    assert alive(grandchild)
    os.kill(grandchild, signal.SIGKILL)
    until(lambda: parent_of(grandchild) is None, "the grandchild reaped")
    assert pool.slot()["restarts"] == slot["restarts"] + 1


def test_the_death_of_a_worker_is_seen_among_300_orphans(pool: Pool) -> None:
    """All of them die while the supervisor can't look: one SIGCHLD stands for all."""
    slot = pool.ready().slot()
    before = children(pool.supervisor)
    for _ in range(6):  # on a busy machine one request for all of them takes longer than its client waits
        pool.get("/orphans?n=50&s=300")
    until(lambda: len(adopted(pool, before)) >= 300, "300 orphans")
    orphans = sorted(adopted(pool, before))
    with stopped(pool.supervisor):
        for pid in orphans[:150]:
            os.kill(pid, signal.SIGKILL)
        os.kill(pool.outside(slot["pid"]), signal.SIGKILL)
        for pid in orphans[150:]:
            os.kill(pid, signal.SIGKILL)
        until(lambda: len(zombies(pool)) >= 301, "301 zombies")
    after = pool.until_restarts(slot["restarts"] + 1)
    assert after["restarts"] == slot["restarts"] + 1
    assert after["last_exit"] == "signal SIGKILL"
    until(lambda: not zombies(pool), "no zombie")


def test_orphans_beside_worker_and_standby_that_die_again_and_again(pool: Pool) -> None:
    """Forks are under way all the time, in which unknown zombies are kept: none may stay, none may be mistaken."""
    restarts = pool.ready().slot()["restarts"]
    for number in range(5):
        pool.get("/orphans?n=20&code=3&s=0")
        os.kill(pool.outside(pool.slot()["pid"]), signal.SIGKILL)
        pool.until_restarts(restarts + number + 1)
    assert pool.slot()["restarts"] == restarts + 5
    until(lambda: not zombies(pool), "no zombie")


# The end


@pytest.mark.parametrize(
    ("kind", "signum"),
    [
        pytest.param(Container, signal.SIGTERM, marks=pytest.mark.root),
        (Pool, signal.SIGTERM),
        (Pool, signal.SIGQUIT),
    ],
)
def test_nothing_that_the_application_started_outlives_the_pool(
    start: Start, kind: type[Pool], signum: signal.Signals
) -> None:
    pool = start("ok:app", *QUICK, kind=kind).ready()
    grandchild = pool.outside(int(pool.get("/spawn?s=300").text))
    pool.get("/orphans?n=3&s=300")
    family = pool.family()
    pool.signal(signum)
    assert pool.wait() == 0
    until(lambda: not any(map(alive, {*family, grandchild})), "everybody gone")


def test_who_ignores_the_request_to_end_is_ended(start: Start) -> None:
    pool = start("duties:app", *QUICK).ready()
    grandchild = int(pool.get("/stubborn").text)
    assert pool.stop() == 0
    until(lambda: not alive(grandchild), "the stubborn one gone")
    assert "killed 1 process(es) that the application had left behind" in pool.log


def test_a_killed_supervisor_takes_its_workers_along(start: Start) -> None:
    """Without it nobody would restart them or answer probes; and they hold the port."""
    pool = start("ok:app", *QUICK).ready()
    family = pool.family()
    os.kill(pool.supervisor, signal.SIGKILL)
    assert pool.wait() == -signal.SIGKILL
    until(lambda: not any(map(alive, family)), "everybody gone")
